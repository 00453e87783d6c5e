/**
 * `tls init`: a private certificate authority and a server certificate for each name, for machines that trust each other
 * by it (docker-compose.yml). What is there stays: run again with another name it adds that one.
 */
import { randomBytes, webcrypto } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import type { JsonGeneralNames, X509Certificate } from '@peculiar/x509'
import { FleetError } from '../core/contract/errors.ts'

export interface ServerName {
  /** Names the files, and is the first name in the certificate. */
  readonly name: string
  /** DNS names and addresses beside it. */
  readonly others: readonly string[]
}

export interface TlsOptions {
  readonly servers: readonly ServerName[]
  /** Where `ca.key` is kept, apart from what the servers read; absent: with the rest. */
  readonly authorityDir?: string
  readonly days: number
  readonly now: Date
}

type X509 = typeof import('@peculiar/x509')

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const caDays = 3650
const dayMs = 86_400_000
/** Clocks differ: valid from a little before now. */
const backdateMs = 3600_000

interface Authority {
  readonly x509: X509
  readonly certificate: X509Certificate
  readonly key: webcrypto.CryptoKey
}

/** `broker:10.0.0.4,parking.example` → a server name with two others. */
export function parseServerName(text: string): ServerName {
  const [name = '', others = ''] = text.split(/:(.*)/s)
  if (!/^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(name))
    throw new FleetError('request.invalid', `${text}: is not NAME or NAME:OTHER,OTHER`)
  return { name, others: others.split(',').filter((other) => other !== '') }
}

/**
 * @returns the files that were written: `ca.pem`, `ca.key`, and `<name>.pem`, `<name>.key` for each server; keys mode 0600
 * @throws FleetError `file.invalid` when there is half an authority
 */
export async function initTls(dir: string, options: TlsOptions): Promise<readonly string[]> {
  const x509 = await loadX509()
  const authorityDir = options.authorityDir ?? dir
  for (const folder of [dir, authorityDir]) mkdirSync(folder, { recursive: true })
  const pathOf = (name: string) => join(name === 'ca.key' ? authorityDir : dir, name)
  const written: string[] = []
  const write = (name: string, text: string, mode: number) => {
    // `wx`: never over a file that is there.
    writeFileSync(pathOf(name), text, { mode, flag: 'wx' })
    written.push(name)
  }
  const authority = await authorityOf(x509, pathOf, options.now, write)
  for (const server of options.servers) {
    if (existsSync(join(dir, `${server.name}.pem`))) continue
    const keys = await newKeys()
    const certificate = await serverCertificate(server, keys.publicKey, authority, options)
    write(`${server.name}.key`, await keyPem(x509, keys.privateKey), 0o600)
    write(`${server.name}.pem`, certificate.toString('pem'), 0o644)
  }
  return written
}

async function loadX509(): Promise<X509> {
  // What the library is built on asks for it to be loaded first.
  await import('reflect-metadata')
  const x509 = await import('@peculiar/x509')
  x509.cryptoProvider.set(webcrypto)
  return x509
}

async function authorityOf(
  x509: X509,
  pathOf: (name: string) => string,
  now: Date,
  write: (name: string, text: string, mode: number) => void,
): Promise<Authority> {
  const there = ['ca.pem', 'ca.key'].map(pathOf).filter(existsSync)
  if (there.length === 1) throw new FleetError('file.invalid', `${there[0]} is there without its other half`)
  if (there.length === 2) {
    const [pkcs8] = x509.PemConverter.decode(readFileSync(pathOf('ca.key'), 'utf8'))
    if (pkcs8 === undefined) throw new FleetError('file.invalid', `${pathOf('ca.key')} is not a key`)
    const key = await webcrypto.subtle.importKey('pkcs8', pkcs8, algorithm, false, ['sign'])
    return { x509, certificate: new x509.X509Certificate(readFileSync(pathOf('ca.pem'), 'utf8')), key }
  }
  const keys = await newKeys()
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity(now, caDays),
    name: [{ CN: ['Lotwatch private authority'] }],
    serialNumber: serialNumber(),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  write('ca.key', await keyPem(x509, keys.privateKey), 0o600)
  write('ca.pem', certificate.toString('pem'), 0o644)
  return { x509, certificate, key: keys.privateKey }
}

async function serverCertificate(
  server: ServerName,
  publicKey: webcrypto.CryptoKey,
  authority: Authority,
  options: TlsOptions,
): Promise<X509Certificate> {
  const names = [server.name, ...server.others].map((value) =>
    isIP(value) === 0 ? { type: 'dns' as const, value } : { type: 'ip' as const, value },
  ) satisfies JsonGeneralNames
  const { x509 } = authority
  return x509.X509CertificateGenerator.create({
    ...validity(options.now, options.days),
    subject: [{ CN: [server.name] }],
    issuer: authority.certificate.subject,
    serialNumber: serialNumber(),
    publicKey,
    signingKey: authority.key,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names),
      // RFC 5280 §4.2.1.1: must; Python 3.13 refuses a certificate without it.
      await x509.AuthorityKeyIdentifierExtension.create(authority.certificate),
    ],
  })
}

function validity(now: Date, days: number): { notBefore: Date; notAfter: Date } {
  return {
    notBefore: new Date(now.getTime() - backdateMs),
    notAfter: new Date(now.getTime() + days * dayMs),
  }
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

/** RFC 5280 §4.1.2.2: positive, at most 20 octets; random so that no two of a rebuilt authority are alike. */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x01
  return bytes.toString('hex')
}

async function keyPem(x509: X509, key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`
}
