/**
 * Passwords: scrypt, with its cost beside the hash so that it can grow. Each takes 32 MiB and a tenth of a second of a
 * thread; more than a few at once are asked to come back.
 */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto'
import { FleetError } from '../../core/contract/errors.ts'

export interface Passwords {
  hash(password: string): Promise<string>
  /** Without a hash the same work is done, so that an unknown name takes as long as a wrong password. */
  matches(password: string, hash: string | undefined): Promise<boolean>
}

interface Cost {
  readonly N: number
  readonly r: number
  readonly p: number
}

const keyBytes = 32
const atOnceMax = 4
/** OWASP's cheat sheet gives it as equal to N=2^17 with p=1, at a quarter of the memory. */
const costNow: Cost = { N: 2 ** 15, r: 8, p: 3 }

export function createPasswords(cost: Cost = costNow): Passwords {
  let atOnce = 0
  const nobody = encode(cost, randomBytes(16), randomBytes(keyBytes))

  async function derive(password: string, salt: Uint8Array, { N, r, p }: Cost): Promise<Buffer> {
    if (atOnce >= atOnceMax) throw new FleetError('system.busy', 'too many passwords are being checked')
    atOnce++
    try {
      return await new Promise((resolve, reject) =>
        scrypt(
          password.normalize('NFKC'),
          salt,
          keyBytes,
          { N, r, p, maxmem: 2 ** 20 + 256 * N * r },
          (error, key) => (error === null ? resolve(key) : reject(error)),
        ),
      )
    } finally {
      atOnce--
    }
  }

  return {
    async hash(password) {
      const salt = randomBytes(16)
      return encode(cost, salt, await derive(password, salt, cost))
    },
    async matches(password, hash) {
      const [, N, r, p, salt = '', key = ''] = (hash ?? nobody).split('$')
      const found = await derive(password, Buffer.from(salt, 'base64url'), {
        N: Number(N),
        r: Number(r),
        p: Number(p),
      })
      return timingSafeEqual(found, Buffer.from(key, 'base64url')) && hash !== undefined
    },
  }
}

function encode({ N, r, p }: Cost, salt: Buffer, key: Buffer): string {
  return ['scrypt', N, r, p, salt.toString('base64url'), key.toString('base64url')].join('$')
}
