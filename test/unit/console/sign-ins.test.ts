import { join } from 'node:path'
import Database from 'libsql'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createPasswords } from '../../../console/server/password.ts'
import { type ConsoleStore, openConsoleStore } from '../../../console/server/store.ts'
import { Throttle } from '../../../console/server/throttle.ts'
import { type Person, SignIns } from '../../../console/sign-ins.ts'
import { makeLoginLink, takeLoginLink } from '../../../core/runtime/login-link.ts'
import { makeDataDir } from '../../kit/program.ts'

const passwords = createPasswords({ N: 2, r: 1, p: 1 })
const address = '192.0.2.7'
const long = 'correct horse battery'
let dir: ReturnType<typeof makeDataDir>
let store: ConsoleStore
let nowMs: number
let signIns: SignIns

beforeEach(() => {
  dir = makeDataDir()
  store = openConsoleStore(join(dir.path, 'console.db'))
  nowMs = 1_000_000
  signIns = new SignIns({
    store,
    passwords,
    throttle: new Throttle({
      free: 2,
      firstWaitMs: 1000,
      waitMsMax: 5000,
      forgetMs: 60_000,
      keysMax: 10,
    }),
    takeLink: (token, atMs) => takeLoginLink(dir.path, token, atMs),
    idleMs: 60_000,
    lifeMs: 300_000,
    now: () => nowMs,
  })
})
afterEach(() => {
  store.close()
  dir.remove()
})

let links = 0
function link(more: { account?: string; lifeMs?: number } = {}): string {
  const token = `token-${links++}`
  makeLoginLink({ dataDir: dir.path, consoleUrl: 'http://x', token, nowMs, ...more })
  return token
}
const find = (id: string) => signIns.find(id, address)
function signedIn(id = signIns.byLink(link(), address)): Person {
  const person = find(id)
  if (person === undefined) throw new Error('nobody')
  return person
}

describe('a one-time link', () => {
  it('makes the first administrator, and lets nobody in twice', () => {
    const token = link()
    expect(signedIn(signIns.byLink(token, address))).toMatchObject({ person: 'admin', role: 'admin' })
    expect(() => signIns.byLink(token, address)).toThrow('no such link')
    expect(signIns.accounts()).toHaveLength(1)
  })

  it('is good for its time and for no longer', () => {
    const token = link({ lifeMs: 1000 })
    nowMs += 1000
    expect(() => signIns.byLink(token, address)).toThrow('no such link')
  })

  it('is for the account it names, with the role that it has', async () => {
    await signIns.putAccount(signedIn(), 'maria', { role: 'analyst' })
    expect(signedIn(signIns.byLink(link({ account: 'maria' }), address))).toMatchObject({
      person: 'maria',
      role: 'analyst',
    })
    expect(() => signIns.byLink(link({ account: 'nobody' }), address)).toThrow('no such link')
  })

  it('cannot be made of what a file of it shows', () => {
    link()
    expect(() => signIns.byLink('../console.db', address)).toThrow('no such link')
  })
})

describe('a password', () => {
  it('lets in who has it, and nobody else', async () => {
    await signIns.changePassword(signedIn(), { password: long })
    expect(signedIn(await signIns.byPassword({ name: 'admin', password: long }, address)).person).toBe(
      'admin',
    )
    for (const [name, password] of [
      ['admin', 'wrong'],
      ['nobody', long],
      ['admin', ''],
    ] as const)
      await expect(signIns.byPassword({ name, password }, `other ${name}${password}`)).rejects.toMatchObject({
        code: 'sign_in.refused',
      })
  })

  it('is not even looked at after too many that were wrong, and is again after the wait', async () => {
    await signIns.changePassword(signedIn(), { password: long })
    const attempt = (password: string) => signIns.byPassword({ name: 'admin', password }, address)
    for (const wrong of ['one', 'two'])
      await expect(attempt(wrong)).rejects.toMatchObject({ code: 'sign_in.refused' })
    await expect(attempt(long)).rejects.toMatchObject({ code: 'request.too_many' })
    nowMs += 1000
    await expect(attempt(long)).resolves.toBeTypeOf('string')
  })

  it('that is changed ends every other sign-in, and is only changed by who knows the old one', async () => {
    const other = signIns.byLink(link(), address)
    const person = signedIn()
    await signIns.changePassword(person, { password: long })
    expect(find(other)).toBeUndefined()
    expect(find(person.id)).toBeDefined()
    await expect(signIns.changePassword(person, { password: 'another one' })).rejects.toMatchObject({
      code: 'sign_in.refused',
    })
    await signIns.changePassword(person, { current: long, password: 'another one' })
  })

  it('of an account without one lets nobody in', async () => {
    signedIn()
    await expect(signIns.byPassword({ name: 'admin', password: '' }, address)).rejects.toMatchObject({
      code: 'sign_in.refused',
    })
  })

  it('is kept as a hash that is another each time', async () => {
    const [one, two] = [await passwords.hash(long), await passwords.hash(long)]
    expect(one).not.toBe(two)
    expect(one).not.toContain(long)
    expect(await passwords.matches(long, one)).toBe(true)
    expect(await passwords.matches(long, undefined)).toBe(false)
  })
})

describe('being signed in', () => {
  it('ends with idleness, though it is put off by what one does', () => {
    const { id } = signedIn()
    nowMs += 40_000
    expect(find(id)).toBeDefined()
    nowMs += 40_000
    expect(find(id)).toBeDefined()
    nowMs += 60_000
    expect(find(id)).toBeUndefined()
  })

  it('ends after its life, whatever one does', () => {
    const { id } = signedIn()
    for (let i = 0; i < 9; i++) {
      nowMs += 31_000
      expect(find(id)).toBeDefined()
    }
    nowMs += 31_000
    expect(find(id)).toBeUndefined()
  })

  it('ends when one leaves, and when the account is removed', async () => {
    const admin = signedIn()
    await signIns.putAccount(admin, 'maria', { role: 'analyst' })
    const maria = signedIn(signIns.byLink(link({ account: 'maria' }), address))
    signIns.removeAccount(admin, 'maria')
    expect(find(maria.id)).toBeUndefined()
    signIns.out(admin)
    expect(find(admin.id)).toBeUndefined()
  })

  it('follows the role of the account at once', async () => {
    const admin = signedIn()
    await signIns.putAccount(admin, 'maria', { role: 'operator' })
    const { id } = signedIn(signIns.byLink(link({ account: 'maria' }), address))
    await signIns.putAccount(admin, 'maria', { role: 'analyst' })
    expect(find(id)?.role).toBe('analyst')
  })

  it('follows the lots of the account at once, and a stream of before is not theirs any more', async () => {
    const admin = signedIn()
    await signIns.putAccount(admin, 'maria', { role: 'analyst' })
    const maria = signedIn(signIns.byLink(link({ account: 'maria' }), address))
    expect(maria.lots).toBeUndefined()
    expect(signIns.isStill(maria)).toBe(true)
    await signIns.putAccount(admin, 'maria', { role: 'analyst', lots: ['north'] })
    expect(find(maria.id)?.lots).toEqual(['north'])
    expect(signIns.isStill(maria)).toBe(false)
    await signIns.putAccount(admin, 'maria', { role: 'analyst' })
    expect(find(maria.id)?.lots).toBeUndefined()
  })

  it('is limited to lots as an analyst alone, whoever says so', async () => {
    for (const role of ['operator', 'admin'] as const) {
      await expect(signIns.putAccount(signedIn(), 'maria', { role, lots: ['north'] })).rejects.toMatchObject({
        code: 'request.invalid',
      })
      expect(() => signIns.byProvider({ name: 'maria', role, lots: ['north'] }, address)).toThrow(
        expect.objectContaining({ code: 'sign_in.refused' }),
      )
    }
    const id = signIns.byProvider({ name: 'maria', role: 'analyst', lots: ['north'] }, address)
    expect(find(id)).toMatchObject({ person: 'oidc:maria', lots: ['north'] })
  })

  it('keeps its limit when only the password is another', async () => {
    await signIns.putAccount(signedIn(), 'maria', { role: 'analyst', lots: ['north'] })
    const maria = signedIn(signIns.byLink(link({ account: 'maria' }), address))
    await signIns.changePassword(maria, { password: long })
    expect(find(maria.id)?.lots).toEqual(['north'])
  })

  it('goes on in a file of a version that knew no lots', () => {
    const path = join(dir.path, 'before.db')
    const before = new Database(path)
    before.exec(`
      CREATE TABLE accounts (name TEXT PRIMARY KEY, role TEXT NOT NULL, password_hash TEXT, created_at_ms INTEGER NOT NULL) STRICT;
      CREATE TABLE sign_ins (id_hash TEXT PRIMARY KEY, person TEXT NOT NULL, role TEXT NOT NULL, account TEXT,
        since_ms INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL) STRICT;
      INSERT INTO accounts VALUES ('maria', 'analyst', NULL, 0)`)
    before.close()
    const after = openConsoleStore(path)
    const maria = after.findAccount('maria')
    expect(maria).toMatchObject({ role: 'analyst', lots: undefined })
    if (maria !== undefined) after.putAccount({ ...maria, lots: ['north'] })
    expect(after.findAccount('maria')?.lots).toEqual(['north'])
    after.close()
  })

  it('leaves the last word on administrators to another', async () => {
    const admin = signedIn()
    expect(() => signIns.removeAccount(admin, 'admin')).toThrow('own account')
    await expect(signIns.putAccount(admin, 'admin', { role: 'analyst' })).rejects.toThrow('own role')
  })

  it('is written down, with who and from where', () => {
    signedIn()
    expect(store.events({ before: undefined, limit: 10 })).toMatchObject([
      { person: 'admin', verb: 'signed_in', subject: 'link', address },
    ])
  })
})
