/** As much of `oidc-provider`, which brings no types, as the benchmark uses. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  // biome-ignore lint/style/noDefaultExport: it is theirs
  export default class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    readonly Client: { find(id: string): Promise<unknown> }
    callback(): (request: IncomingMessage, response: ServerResponse) => void
  }
}
