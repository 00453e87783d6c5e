/** What the pages and the server of the console say to each other, beside what the server passes on. */
import { type Static, Type } from 'typebox'
import { identifierPattern } from '../core/contract/device.ts'
import { roles } from './roles.ts'

const Role = Type.Enum(roles)

/** Of a local account; it stands in audit logs. */
export const AccountName = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$',
  description: 'a name: letters, digits and . _ @ -, at most 64',
})
export const Password = Type.String({ minLength: 10, maxLength: 256 })

/** Those a person may see; absent: all of them. */
const Lots = Type.Array(
  Type.String({ pattern: identifierPattern, description: 'an identifier: letters, digits, - and _' }),
  { minItems: 1, maxItems: 100, uniqueItems: true },
)

const strict = { additionalProperties: false } as const

/** `GET /api/me`. */
export const Me = Type.Object(
  {
    /** As audit logs name them: an account, or `oidc:` and the name the provider gave. */
    person: Type.String(),
    role: Role,
    lots: Type.Optional(Lots),
    by: Type.Enum(['account', 'provider']),
    /** False: they came by a link, and have none yet. */
    hasPassword: Type.Boolean(),
    version: Type.String(),
    /** Where programs are, as people and notebooks reach them. */
    urls: Type.Object({ provisioning: Type.String(), ingest: Type.String() }, strict),
  },
  strict,
)
export type Me = Static<typeof Me>

/** `GET /api/sign-in`: which ways there are. */
export const SignInWays = Type.Object(
  {
    /** Whether whoever asks is signed in already: asked so that nobody has to be refused to know it. */
    isSignedIn: Type.Boolean(),
    password: Type.Boolean(),
    provider: Type.Union([Type.String(), Type.Null()]),
  },
  strict,
)
export type SignInWays = Static<typeof SignInWays>

export const PasswordSignIn = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: 64 }), password: Type.String({ maxLength: 256 }) },
  strict,
)
export type PasswordSignIn = Static<typeof PasswordSignIn>

export const LinkSignIn = Type.Object({ token: Type.String({ minLength: 1, maxLength: 128 }) }, strict)
export type LinkSignIn = Static<typeof LinkSignIn>

/** The address a provider has sent the person back to, from its `?` on. */
export const ProviderReturn = Type.Object({ search: Type.String({ maxLength: 4096 }) }, strict)
export type ProviderReturn = Static<typeof ProviderReturn>

/** `PUT /api/me/password`. */
export const PasswordChange = Type.Object(
  { current: Type.Optional(Type.String({ maxLength: 256 })), password: Password },
  strict,
)
export type PasswordChange = Static<typeof PasswordChange>

export const Account = Type.Object(
  {
    name: AccountName,
    role: Role,
    lots: Type.Optional(Lots),
    hasPassword: Type.Boolean(),
    createdAtMs: Type.Integer(),
    lastSeenAtMs: Type.Union([Type.Integer(), Type.Null()]),
  },
  strict,
)
export type Account = Static<typeof Account>
export const Accounts = Type.Object({ accounts: Type.Array(Account) }, strict)
export type Accounts = Static<typeof Accounts>

/** `PUT /api/accounts/{name}`: makes it, or changes what is said; without a password a link lets them in. */
export const AccountChange = Type.Object(
  { role: Role, lots: Type.Optional(Lots), password: Type.Optional(Password) },
  strict,
)
export type AccountChange = Static<typeof AccountChange>

/** What people did here: signing in, accounts, and each change that was passed on. */
export const ConsoleEvent = Type.Object(
  {
    eventId: Type.Integer(),
    atMs: Type.Integer(),
    person: Type.String(),
    verb: Type.String(),
    subject: Type.String(),
    address: Type.String(),
  },
  strict,
)
export type ConsoleEvent = Static<typeof ConsoleEvent>
export const ConsoleEvents = Type.Object(
  { events: Type.Array(ConsoleEvent), nextCursor: Type.Optional(Type.String()) },
  strict,
)
export type ConsoleEvents = Static<typeof ConsoleEvents>

/** `GET /api/services`: how the programs stand, as the server of the console finds them. */
export const Services = Type.Object(
  {
    services: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          url: Type.String(),
          state: Type.Enum(['ready', 'not_ready', 'away']),
          /** What it says of itself when it is not ready. */
          detail: Type.Optional(Type.String()),
          answerMs: Type.Integer(),
        },
        strict,
      ),
    ),
  },
  strict,
)
export type Services = Static<typeof Services>
