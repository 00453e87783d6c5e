/** What is kept but may be read by few: private signing keys under the pepper, answers under the key of who asked. */
import { hkdfSync } from 'node:crypto'
import { CompactEncrypt, compactDecrypt } from 'jose'

export interface Sealer {
  seal(text: string): Promise<string>
  /** @throws an error of jose when it was sealed under other words, or altered */
  unseal(sealed: string): Promise<string>
}

/**
 * JWE, direct encryption with A256GCM (RFC 7516, RFC 7518 §5.3), under a key derived by HKDF (RFC 5869).
 * @param secret the pepper
 * @param purpose keeps apart what is sealed for different uses; may hold a secret of the one who asks
 */
export function createSealer(secret: Uint8Array, purpose: string): Sealer {
  const key = new Uint8Array(hkdfSync('sha256', secret, 'lotwatch seal', purpose, 32))
  return {
    seal: (text) =>
      new CompactEncrypt(new TextEncoder().encode(text))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM' })
        .encrypt(key),
    async unseal(sealed) {
      const { plaintext } = await compactDecrypt(sealed, key)
      return new TextDecoder().decode(plaintext)
    },
  }
}
