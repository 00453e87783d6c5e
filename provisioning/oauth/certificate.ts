/**
 * The self-signed certificate that goes with an RSA key as `x5c` (RFC 7517 §4.7): some verifiers, Auth0's among them,
 * take the key from there. It vouches for nothing: the key set is trusted because of where it was fetched.
 */
import type { webcrypto } from 'node:crypto'

const lifeMs = 10 * 365 * 86_400_000

/** @returns DER in base64, the leaf alone */
export async function certificateOf(
  keys: { readonly privateKey: webcrypto.CryptoKey; readonly publicKey: webcrypto.CryptoKey },
  issuer: string,
  nowMs: number,
): Promise<string[]> {
  await import('reflect-metadata')
  const { X509CertificateGenerator } = await import('@peculiar/x509')
  const { hostname } = new URL(issuer)
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [hostname] }],
    notBefore: new Date(nowMs - 3600_000),
    notAfter: new Date(nowMs + lifeMs),
    keys,
    signingAlgorithm: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  })
  return [Buffer.from(certificate.rawData).toString('base64')]
}
