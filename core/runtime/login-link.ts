/**
 * One-time links by which a person signs in to the console: a file in the data folder, named by the hash of what is in
 * the link. Whoever may write there owns the system; whoever only reads the folder cannot make a link of what they see.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const loginLinkLifeMs = 3_600_000

export interface LoginLinkFile {
  /** Whose; absent: the first administrator, who is made if there is nobody. */
  readonly account?: string
  /** Unix milliseconds, exclusive. */
  readonly expiresAtMs: number
}

const folderOf = (dataDir: string) => join(dataDir, 'login-links')
const nameOf = (token: string) => createHash('sha256').update(token).digest('hex')

/**
 * Makes a link that is good once; forgets those that nobody used in time.
 * @param token 256 random bits, base64url
 * @returns the address to open; what follows the # is not sent to any server by the browser itself
 */
export function makeLoginLink(options: {
  dataDir: string
  consoleUrl: string
  account?: string
  token: string
  nowMs: number
  lifeMs?: number
}): string {
  const folder = folderOf(options.dataDir)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  for (const name of readdirSync(folder)) {
    const old = readLink(join(folder, name))
    if (old === undefined || old.expiresAtMs <= options.nowMs) rmSync(join(folder, name), { force: true })
  }
  const link: LoginLinkFile = {
    ...(options.account === undefined ? {} : { account: options.account }),
    expiresAtMs: options.nowMs + (options.lifeMs ?? loginLinkLifeMs),
  }
  writeFileSync(join(folder, nameOf(options.token)), JSON.stringify(link), { mode: 0o600 })
  return `${options.consoleUrl}/sign-in#${options.token}`
}

/** Uses a link up. @returns undefined when there is none, or it is too old */
export function takeLoginLink(dataDir: string, token: string, nowMs: number): LoginLinkFile | undefined {
  const path = join(folderOf(dataDir), nameOf(token))
  const link = readLink(path)
  if (link === undefined) return undefined
  try {
    rmSync(path) // of two at the same moment one finds nothing to remove
  } catch {
    return undefined
  }
  return nowMs < link.expiresAtMs ? link : undefined
}

function readLink(path: string): LoginLinkFile | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as LoginLinkFile // written above, by the owner of the folder
  } catch {
    return undefined // none, or half a one
  }
}
