/** How provisioning says that it stands (`GET /v1/status`). */

export interface SigningKey {
  readonly kid: string
  readonly alg: string
  readonly createdAtMs: number
  readonly signsFromMs: number
  readonly signsUntilMs: number | null
  readonly publishedUntilMs: number | null
}

export interface Status {
  readonly version: string
  readonly uptimeSec: number
  readonly clients: number
  readonly devices: Readonly<Record<string, number>>
  readonly signingKeys: readonly SigningKey[]
}
