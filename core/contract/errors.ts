/**
 * The errors of Lotwatch: four kinds by who must act, and one table of stable codes.
 * It does not translate them to a wire: HTTP is in `core/runtime/http.ts`, OAuth in
 * `provisioning/oauth/errors.ts`, CONNACK in the broker's engine.
 */

/** Who must act: the peer, the sender, time, the operator. */
export type FaultKind = 'refused' | 'invalid' | 'unavailable' | 'misconfigured'

/** Every code with its kind and its meaning; `docs/protocol.md` lists the same, a test compares. */
export const errorCodes = {
  'token.missing': ['refused', 'no access token was sent'],
  'token.malformed': ['refused', 'the access token is not a JWT this system can read'],
  'token.signature': ['refused', 'the signature does not match any key of the issuer'],
  'token.issuer': ['refused', 'the issuer is not trusted here'],
  'token.audience': ['refused', 'the token is meant for another audience'],
  'token.expired': ['refused', 'the token has expired'],
  'token.claims': ['refused', 'a required claim is missing or has a value that is not allowed'],
  'token.revoked': ['refused', 'the token, its credential or its client was revoked'],
  'token.scope': ['refused', 'the token lacks the scope this needs'],
  'client.refused': ['refused', 'the token endpoint refused the client'],
  'sign_in.required': ['refused', 'a person has to sign in first'],
  'sign_in.refused': ['refused', 'the person could not be signed in'],
  'role.refused': ['refused', 'the role of the person does not allow this'],
  'request.foreign': ['refused', 'the request comes from a page of another site'],
  'enrolment.refused': ['refused', 'the board may not become this device'],
  'device.mismatch': ['refused', 'client identifier, user name and token name different devices'],
  'device.held': ['refused', 'the device may not connect now'],
  'connect.refused': ['refused', 'the CONNECT asks for something this broker does not offer'],
  'topic.foreign': ['refused', 'the topic is not among the rights of this token'],
  'publish.refused': ['refused', 'the PUBLISH asks for something this broker does not offer'],
  'handover.refused': ['refused', 'ingest will not take readings from this broker'],
  'request.invalid': ['invalid', 'the request does not fit its schema'],
  'request.too_large': ['invalid', 'the body is larger than is accepted here'],
  'request.not_found': ['invalid', 'there is no such thing at this address'],
  'request.conflict': ['invalid', 'it exists already, or its state does not allow this'],
  'request.precondition': ['invalid', 'it has changed since it was read'],
  'request.replay': ['invalid', 'the Idempotency-Key was used for another request'],
  'request.media_type': ['invalid', 'the content type is not accepted here'],
  'query.invalid': ['invalid', 'the SQL is not one SELECT that can be answered here'],
  'query.limit': ['invalid', 'the query takes more time, memory, rows or bytes than one may'],
  'handover.malformed': ['invalid', 'the frames of a handover cannot be read'],
  'file.invalid': ['invalid', 'a file cannot be read as what it should be'],
  'reading.invalid': ['invalid', 'a reading breaks the contract'],
  'keys.unavailable': ['unavailable', 'the keys of the issuer could not be loaded'],
  'token.unavailable': ['unavailable', 'the token endpoint does not answer'],
  'broker.unavailable': ['unavailable', 'the broker does not answer'],
  'ingest.unavailable': ['unavailable', 'ingest does not answer'],
  'store.unavailable': ['unavailable', 'the store cannot be written or read now'],
  'archive.unavailable': ['unavailable', 'the archive does not answer, or has lost something'],
  'outbox.unavailable': ['unavailable', 'the outbox cannot be written now'],
  'enrolment.stopped': [
    'unavailable',
    'enrolment was stopped before it was done; it goes on when it is run again',
  ],
  'agent.unavailable': ['unavailable', 'the agent does not run, or does not answer'],
  'outbox.corrupt': ['unavailable', 'the outbox is not as it was written; what can be read of it is saved'],
  'provisioning.unavailable': ['unavailable', 'provisioning does not answer'],
  'issuer.unavailable': ['unavailable', 'the hosted issuer does not answer, or not in time'],
  'device.contended': ['unavailable', 'connections fight over the device’s identity; it is held for a while'],
  'request.too_many': ['unavailable', 'too many requests; come back later'],
  'system.busy': ['unavailable', 'a limit is reached; come back later'],
  'config.invalid': ['misconfigured', 'settings are wrong'],
  'issuer.refused': ['misconfigured', 'the hosted issuer will not do this for us'],
  'archive.refused': ['misconfigured', 'the archive does not let ingest in, or will not do this'],
  'port.taken': ['misconfigured', 'another program listens on the port'],
  'credential.invalid': ['misconfigured', 'the credential file is missing, unreadable or open to others'],
  'store.unsupported': ['misconfigured', 'what keeps the readings cannot do this'],
  'store.locked': ['misconfigured', 'another process owns what keeps the readings'],
} as const satisfies Record<string, readonly [FaultKind, string]>

export type ErrorCode = keyof typeof errorCodes

export interface FleetErrorOptions {
  cause?: unknown
  /** The only text that may reach the peer. */
  safeDetail?: string
  /** Every fault found, for errors that name several at once. */
  faults?: readonly string[]
}

/** An expected failure. Match on `code`; `message` is for our log and may change. */
export class FleetError extends Error {
  readonly code: ErrorCode
  readonly kind: FaultKind
  readonly safeDetail: string | undefined
  readonly faults: readonly string[]

  constructor(code: ErrorCode, message: string, options: FleetErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'FleetError'
    this.code = code
    this.kind = errorCodes[code][0]
    this.safeDetail = options.safeDetail
    this.faults = options.faults ?? []
  }
}

export function isFleetError(error: unknown, code?: ErrorCode): error is FleetError {
  return error instanceof FleetError && (code === undefined || error.code === code)
}
