/** Settings that several programs have, each described once. */
import { Type } from 'typebox'
import type { TlsFiles } from './http.ts'

export const logLevelSetting = Type.Union(
  [
    Type.Literal('debug'),
    Type.Literal('info'),
    Type.Literal('warn'),
    Type.Literal('error'),
    Type.Literal('silent'),
  ],
  { default: 'info', description: 'least level that is logged: debug, info, warn, error, silent' },
)

export const portSetting = (byDefault: number, description: string) =>
  Type.Integer({
    default: byDefault,
    minimum: 0,
    maximum: 65_535,
    description: `${description}; 0: any free one`,
  })

const PemFile = (description: string) => Type.Optional(Type.String({ minLength: 1, description }))

/** Of every program that serves HTTP. */
export const serverSettings = (port: number) => ({
  host: Type.String({ default: '127.0.0.1', minLength: 1, description: 'address to listen on' }),
  port: portSetting(port, 'port to listen on'),
  insecure: Type.Boolean({ default: false, description: 'allow plaintext beyond loopback' }),
  tlsCertFile: PemFile('certificate chain, PEM; with tlsKeyFile: TLS'),
  tlsKeyFile: PemFile('private key of the certificate, PEM'),
  logLevel: logLevelSetting,
})

/** Of every program that believes an issuer and follows provisioning's feed. */
export const followerSettings = {
  caFile: PemFile(
    'certificate authority of our programs that it calls, PEM; absent: the system’s. Servers of others are believed by public ones, too',
  ),
  issuerUrl: Type.String({
    default: 'http://127.0.0.1:8081',
    description: 'whose access tokens are believed, exactly as in iss',
  }),
  provisioningUrl: Type.String({ default: 'http://127.0.0.1:8081', description: 'where the feed is' }),
  credentialFile: Type.Optional(
    Type.String({ description: 'its own credential; absent: services/<program>.json in the data folder' }),
  ),
  feedAgeMaxSec: Type.Integer({
    default: 3600,
    minimum: 1,
    maximum: 7 * 86_400,
    description: 'how long what the feed last said is good enough to let anybody in by',
  }),
  skewSec: Type.Integer({
    default: 30,
    minimum: 0,
    maximum: 120,
    description: 'tolerance for clocks in token times',
  }),
}

interface TlsSettings {
  readonly tlsCertFile?: string
  readonly tlsKeyFile?: string
}

export function tlsFilesOf({ tlsCertFile, tlsKeyFile }: TlsSettings): TlsFiles | undefined {
  if (tlsCertFile === undefined || tlsKeyFile === undefined) return undefined
  return { certFile: tlsCertFile, keyFile: tlsKeyFile }
}

/** @param prefix as in `LOTWATCH_BROKER` */
export function tlsFaults(prefix: string, { tlsCertFile, tlsKeyFile }: TlsSettings): string[] {
  if ((tlsCertFile === undefined) === (tlsKeyFile === undefined)) return []
  return [`${prefix}_TLS_CERT_FILE and ${prefix}_TLS_KEY_FILE: both or none`]
}
