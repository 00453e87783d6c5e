import type { BuildOptions } from 'esbuild'

export const root: string
export const buildOptions: BuildOptions
export function build(): Promise<boolean>
