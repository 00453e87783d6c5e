/**
 * `lot-agent enrol`: makes this board a device, and ends when the first reading has its PUBACK; otherwise it says which
 * step is missing. Run again it goes on where it stood.
 */
import { existsSync, readFileSync } from 'node:fs'
import type { CredentialFile } from '../../core/contract/credential.ts'
import { FleetError, isFleetError } from '../../core/contract/errors.ts'
import { readCredentialFile } from '../../core/runtime/credential.ts'
import type { Snapshot } from '../control.ts'
import type { Device } from '../device.ts'
import { type EnrolFile, parseEnrolFile } from '../enrol-file.ts'
import { type EnrolmentNews, type EnrolmentParts, enrol } from '../enrolment.ts'
import { removeKept } from '../kept-file.ts'

export interface EnrolFlags {
  readonly key?: string
  readonly name?: string
  readonly device?: string
  readonly ca?: string
  readonly file?: string
  readonly again?: true
  readonly replace?: true
  /** Seconds. */
  readonly timeout: string
}

export interface EnrolCommandParts extends EnrolmentParts {
  readonly insecure: boolean
  /** The agent that runs on this outbox. @throws FleetError `agent.unavailable` */
  readonly ask: () => Promise<Snapshot>
  /** This device in this process, with one reading at once. */
  readonly open: () => Promise<Pick<Device, 'snapshot' | 'stop'>>
  /** Why this process must not run the device itself; undefined: it may. */
  readonly mayNotOpen: () => string | undefined
  /** For another device to begin with a new outbox. @returns where the old one is; undefined: there was none */
  readonly setOutboxAside: () => string | undefined
  readonly say: (line: string) => void
  readonly signal: AbortSignal
}

const lookMs = 500

/** @throws FleetError with what is in the way */
export async function enrolBoard(
  url: string | undefined,
  flags: EnrolFlags,
  parts: EnrolCommandParts,
): Promise<void> {
  const { say } = parts
  const timeoutMs = Number(flags.timeout) * 1000
  if (!(timeoutMs > 0)) throw new FleetError('request.invalid', '--timeout: is not a number of seconds')
  const file = flags.file === undefined ? undefined : parseEnrolFile(readText(flags.file))
  const credential = await credentialOf(url, flags, file, parts)
  say(`enrolled as ${credential.deviceId}; waiting for the first reading to arrive`)
  await firstReading(credential, { ...parts, timeoutMs })
  say('the first reading has arrived')
  // It has a key in it, and it has done its work.
  if (flags.file !== undefined) removeKept(flags.file)
}

async function credentialOf(
  url: string | undefined,
  flags: EnrolFlags,
  file: EnrolFile | undefined,
  parts: EnrolCommandParts,
): Promise<CredentialFile> {
  const isThere = existsSync(parts.credentialFile)
  const present = isThere ? readCredentialFile(parts.credentialFile) : undefined
  if (present !== undefined && flags.again !== true && flags.replace !== true) {
    parts.say(
      `this board is ${present.deviceId} already (--again: a new key for it; --replace: another device)`,
    )
    return present
  }
  if (flags.again === true && present === undefined)
    throw new FleetError('request.invalid', '--again needs the credential of this device; use --key')
  const where = url ?? file?.url ?? (flags.again === true ? present?.issuer : undefined)
  if (where === undefined) throw new FleetError('request.invalid', 'no URL: lot-agent enrol URL --key KEY')
  // It would go on as the device it was, and holds the outbox.
  if (flags.replace === true && present !== undefined && (await isRunning(parts)))
    throw new FleetError('request.invalid', '--replace: stop the agent first (systemctl stop lot-agent)')
  const key = flags.key ?? file?.key
  const deviceId = flags.device ?? file?.device
  const name = flags.name ?? file?.name
  const ca =
    (flags.ca === undefined ? file?.ca : readText(flags.ca)) ??
    (flags.again === true ? present?.ca : undefined)
  const credential = await enrol(
    {
      url: where,
      insecure: parts.insecure,
      ...(ca === undefined ? {} : { ca }),
      ...(name === undefined ? {} : { name }),
      ...(flags.again === true && present !== undefined
        ? { previous: present }
        : {
            ...(key === undefined ? {} : { key }),
            ...(deviceId === undefined ? {} : { deviceId }),
          }),
    },
    parts,
    { signal: parts.signal, tell: (news) => parts.say(wordsOf(news)) },
  )
  if (present !== undefined && present.deviceId !== credential.deviceId) {
    const aside = parts.setOutboxAside()
    if (aside !== undefined) parts.say(`what ${present.deviceId} had not sent yet is in ${aside}`)
  }
  return credential
}

async function isRunning({ ask }: EnrolCommandParts): Promise<boolean> {
  try {
    await ask()
    return true
  } catch {
    return false // nobody answers
  }
}

/** @throws FleetError `enrolment.stopped` with the step that is missing */
async function firstReading(
  { credentialId }: CredentialFile,
  parts: EnrolCommandParts & { timeoutMs: number },
): Promise<void> {
  const endMs = performance.now() + parts.timeoutMs
  let device: Pick<Device, 'snapshot' | 'stop'> | undefined
  let told = ''
  let missing = 'the agent does not run'
  try {
    while (performance.now() < endMs && !parts.signal.aborted) {
      const snapshot = await (device?.snapshot() ?? parts.ask()).catch((error: unknown) => {
        if (isFleetError(error, 'agent.unavailable')) return undefined
        throw error
      })
      if (snapshot === undefined) {
        const reason = parts.mayNotOpen()
        if (reason !== undefined) missing = reason
        else device = await parts.open()
      } else if (snapshot.credentialId === credentialId) {
        if (snapshot.acknowledged > 0) return
        missing = missingOf(snapshot)
        if (missing !== told) parts.say(missing)
        told = missing
      }
      await parts.wait(lookMs, parts.signal)
    }
  } finally {
    await device?.stop()
  }
  throw new FleetError('enrolment.stopped', `enrolled, but the first reading has not arrived: ${missing}`)
}

function missingOf({ steps }: Snapshot): string {
  const step = steps.find(({ state }) => state !== 'ok')
  if (step === undefined) return 'PUBACK: the broker has not acknowledged it'
  const { name, state, detail, next } = step
  return `${name}: ${detail ?? state}${next === undefined ? '' : ` (${next})`}`
}

function wordsOf(news: EnrolmentNews): string {
  if (news.step === 'unreachable') return `${news.reason}; trying again`
  return `waiting for approval of ${news.enrolmentId}; compare the fingerprint:\n  ${news.fingerprint}`
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new FleetError('request.invalid', `${path} cannot be read: ${(cause as Error).message}`, { cause })
  }
}
