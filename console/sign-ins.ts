/**
 * The flow: a person shows who they are (password, one-time link, provider), is signed in under an identifier that only
 * their cookie has, and is known by it until they leave, are idle too long, or an administrator says otherwise.
 */
import { randomBytes } from 'node:crypto'
import { FleetError } from '../core/contract/errors.ts'
import type { LoginLinkFile } from '../core/runtime/login-link.ts'
import type { Role } from './roles.ts'
import type { Passwords } from './server/password.ts'
import type { ConsoleStore, SignIn, StoredAccount } from './server/store.ts'
import type { Throttle } from './server/throttle.ts'
import type { Account, AccountChange, PasswordChange, PasswordSignIn } from './wire.ts'

export interface SignInOptions {
  readonly store: ConsoleStore
  readonly passwords: Passwords
  readonly throttle: Throttle
  /** Uses a link up. */
  readonly takeLink: (token: string, nowMs: number) => LoginLinkFile | undefined
  readonly idleMs: number
  readonly lifeMs: number
  /** Wall clock, Unix milliseconds. */
  readonly now: () => number
}

/** Who makes a request: what the cookie says, and from where. */
export interface Person extends SignIn {
  readonly id: string
  readonly address: string
}

/** Whom a provider names. */
export interface Named {
  readonly name: string
  readonly role: Role
  /** Undefined: every lot. */
  readonly lots?: readonly string[] | undefined
}

/** The account that the first link makes. */
const firstAdminName = 'admin'
/** How exactly the last moment somebody was seen is known. */
const seenMs = 30_000

export class SignIns {
  readonly #options: SignInOptions

  constructor(options: SignInOptions) {
    this.#options = options
  }

  /** @returns the identifier for the cookie. @throws FleetError `sign_in.refused`, `request.too_many` */
  async byPassword({ name, password }: PasswordSignIn, address: string): Promise<string> {
    const { store, passwords, throttle } = this.#options
    const keys = [`name ${name}`, `address ${address}`]
    this.#refuseHasty(keys)
    const account = store.findAccount(name)
    // Counted before it is looked at: those that come at once count each other.
    for (const key of keys) throttle.failed(key, this.#options.now())
    if (!(await passwords.matches(password, account?.passwordHash ?? undefined)) || account === undefined) {
      this.#note(name, 'sign_in.refused', 'password', address)
      throw new FleetError('sign_in.refused', 'wrong name or password')
    }
    for (const key of keys) throttle.succeeded(key)
    return this.#signIn(
      { person: account.name, role: account.role, lots: account.lots, account: account.name },
      'password',
      address,
    )
  }

  /** @throws FleetError `sign_in.refused`, `request.too_many` */
  byLink(token: string, address: string): string {
    const { store, throttle, takeLink, now } = this.#options
    const keys = [`address ${address}`]
    this.#refuseHasty(keys)
    const link = takeLink(token, now())
    const account = link === undefined ? undefined : this.#accountOf(link, store)
    if (account === undefined) {
      for (const key of keys) throttle.failed(key, now())
      throw new FleetError('sign_in.refused', 'no such link', {
        safeDetail: 'the link was used before or is too old; lotctl login-link makes another',
      })
    }
    const { name, role, lots } = account
    return this.#signIn({ person: name, role, lots, account: name }, 'link', address)
  }

  /** @throws FleetError `sign_in.refused` for a limit that the role cannot have */
  byProvider({ name, role, lots }: Named, address: string): string {
    if (!mayBeLimited(role, lots))
      throw new FleetError('sign_in.refused', `${name}: ${role} with lots`, {
        safeDetail: 'the identity provider limits you to lots, which goes with the role analyst alone',
      })
    return this.#signIn({ person: `oidc:${name}`, role, lots, account: undefined }, 'provider', address)
  }

  /** Whether they are still who they were when this began: for answers that stay open. Nobody is seen by it. */
  isStill({ id, role, lots }: Person): boolean {
    const { store, lifeMs, now } = this.#options
    const signIn = store.findSignIn(id)
    return (
      signIn !== undefined &&
      now() - signIn.sinceMs < lifeMs &&
      signIn.role === role &&
      String(signIn.lots) === String(lots)
    )
  }

  /** Who has this identifier; undefined: nobody, or no longer. */
  find(id: string | undefined, address: string): Person | undefined {
    if (id === undefined) return undefined
    const { store, idleMs, lifeMs, now } = this.#options
    const signIn = store.findSignIn(id)
    const nowMs = now()
    if (signIn === undefined) return undefined
    if (nowMs - signIn.lastSeenMs >= idleMs || nowMs - signIn.sinceMs >= lifeMs) {
      store.removeSignIn(id)
      return undefined
    }
    if (nowMs - signIn.lastSeenMs > seenMs) store.seen(id, nowMs)
    return { ...signIn, id, address }
  }

  out(person: Person): void {
    this.#options.store.removeSignIn(person.id)
    this.note(person, 'signed_out', person.person)
  }

  hasPassword(person: Person): boolean {
    return person.account !== undefined && this.#mustFind(person.account).passwordHash !== null
  }

  /** Every other place where they are signed in is not any more. */
  async changePassword(person: Person, { current, password }: PasswordChange): Promise<void> {
    const { store, passwords, throttle, now } = this.#options
    if (person.account === undefined)
      throw new FleetError('request.conflict', 'not a local account', {
        safeDetail: 'your provider keeps your password',
      })
    const account = this.#mustFind(person.account)
    if (account.passwordHash !== null) {
      const keys = [`name ${account.name}`]
      this.#refuseHasty(keys)
      for (const key of keys) throttle.failed(key, now())
      if (!(await passwords.matches(current ?? '', account.passwordHash)))
        throw new FleetError('sign_in.refused', 'wrong password', { safeDetail: 'that is not your password' })
      for (const key of keys) throttle.succeeded(key)
    }
    store.putAccount({ ...account, passwordHash: await passwords.hash(password) })
    store.removeSignInsOf(account.name, person.id)
    this.note(person, 'password.changed', account.name)
  }

  accounts(): Account[] {
    return this.#options.store.accounts()
  }

  async putAccount(by: Person, name: string, { role, lots, password }: AccountChange): Promise<void> {
    const { store, passwords, now } = this.#options
    if (!mayBeLimited(role, lots))
      throw new FleetError('request.invalid', `${role} with lots`, {
        safeDetail: 'lots: only an analyst can be limited to some',
      })
    const before = store.findAccount(name)
    if (before !== undefined && by.account === name && role !== before.role)
      throw new FleetError('request.conflict', 'own role', {
        safeDetail: 'another administrator has to do that',
      })
    const passwordHash =
      password === undefined ? (before?.passwordHash ?? null) : await passwords.hash(password)
    store.putAccount({ name, role, lots, passwordHash, createdAtMs: before?.createdAtMs ?? now() })
    if (password !== undefined) store.removeSignInsOf(name, by.id)
    this.note(
      by,
      before === undefined ? 'account.made' : 'account.changed',
      `${name} (${role}${lots === undefined ? '' : `: ${lots.join(', ')}`})`,
    )
  }

  removeAccount(by: Person, name: string): void {
    if (by.account === name)
      throw new FleetError('request.conflict', 'own account', {
        safeDetail: 'another administrator has to do that',
      })
    this.#mustFind(name)
    this.#options.store.removeAccount(name)
    this.note(by, 'account.removed', name)
  }

  /** Forgets what is over. */
  sweep(): void {
    const { store, idleMs, lifeMs, now } = this.#options
    store.removeSignInsBefore({ seenMs: now() - idleMs, sinceMs: now() - lifeMs })
  }

  note({ person, address }: Pick<Person, 'person' | 'address'>, verb: string, subject: string): void {
    this.#note(person, verb, subject, address)
  }

  #note(person: string, verb: string, subject: string, address: string): void {
    this.#options.store.addEvent({ atMs: this.#options.now(), person, verb, subject, address })
  }

  #signIn(who: Pick<SignIn, 'person' | 'role' | 'lots' | 'account'>, by: string, address: string): string {
    const id = randomBytes(32).toString('base64url')
    const nowMs = this.#options.now()
    this.#options.store.addSignIn(id, { ...who, sinceMs: nowMs, lastSeenMs: nowMs })
    this.#note(who.person, 'signed_in', by, address)
    return id
  }

  #accountOf({ account }: LoginLinkFile, store: ConsoleStore): StoredAccount | undefined {
    if (account !== undefined) return store.findAccount(account)
    const known = store.firstAdmin()
    if (known !== undefined) return known
    // Somebody of that name who is no administrator does not become one by a link.
    if (store.findAccount(firstAdminName) !== undefined) return undefined
    const made = {
      name: firstAdminName,
      role: 'admin',
      passwordHash: null,
      createdAtMs: this.#options.now(),
    } as const
    store.putAccount(made)
    return made
  }

  #mustFind(name: string): StoredAccount {
    const account = this.#options.store.findAccount(name)
    if (account === undefined)
      throw new FleetError('request.not_found', 'no such account', {
        safeDetail: `there is no account ${name}`,
      })
    return account
  }

  #refuseHasty(keys: readonly string[]): void {
    const { throttle, now } = this.#options
    const waitMs = Math.max(...keys.map((key) => throttle.waitMs(key, now())))
    if (waitMs > 0)
      throw new FleetError('request.too_many', 'too many failed sign-ins', {
        safeDetail: `too many failed attempts; try again in ${Math.ceil(waitMs / 1000)} s`,
      })
  }
}

/** Whoever runs the fleet asks provisioning and brokers, which know of no such limit. */
function mayBeLimited(role: Role, lots: readonly string[] | undefined): boolean {
  return lots === undefined || role === 'analyst'
}
