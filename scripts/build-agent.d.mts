export function buildAgent(): Promise<string>
