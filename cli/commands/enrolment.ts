/** `lotctl enrol-key`, `enrolment` and `alarm`: their verbs and options. */
import { type Command, Option } from 'commander'
import { type Desk, lengthSec, noun, positive, runs, verb } from './verb.ts'

const load = () => import('../registry/enrolment.ts')

export function addEnrolment(lotctl: Command, desk: Desk): void {
  const key = noun(lotctl, 'enrol-key', 'enrolment keys: what a board trades for a credential', 'enrol-keys')

  const create = verb(key, 'create', {
    description: 'make an enrolment key; it is shown once',
    examples: ['enrol-key create --lot north --uses 12 --life 2h --qr', 'enrol-key create --sheet keys.html'],
    changes: true,
    issues: true,
  })
    .option('--name <name>', 'what it is for')
    .option('--lot <lotId>', 'devices that enrol with it count for this lot')
    .option('--tag <tags...>', 'devices that enrol with it have these tags')
    .option('--uses <number>', 'how many devices; default 1', positive)
    .option('--life <length>', 'how long; default 24h', lengthSec)
    .addOption(new Option('--approve <how>', 'by itself, or by a person').choices(['auto', 'manual']))
    .option('--serials <file>', 'only boards whose serial is in this file, one a line')
    .option('--device <deviceId>', 'only for this device, registered before')
    .option('--qr', 'show it as a QR code too')
    .option('--sheet <file>', 'write a page to print, with its QR code')
  runs(create, desk, async () => (await load()).enrolKeyCreate)

  const list = verb(key, 'list', {
    description: 'list enrolment keys, never the keys themselves',
    examples: ['enrol-key list', 'enrol-key list -o json'],
  })
  runs(list, desk, async () => (await load()).enrolKeyList)

  const show = verb(key, 'show <enrolKeyId>', {
    description: 'show what an enrolment key is for and how often it was used',
    examples: ['enrol-key show ek-7Qm3', 'enrol-key show ek-7Qm3 --tz Europe/Athens'],
  })
  runs(show, desk, async () => (await load()).enrolKeyShow)

  const revoke = verb(key, 'revoke <enrolKeyIds...>', {
    description: 'void enrolment keys; devices that enrolled stay',
    examples: ['enrol-key revoke ek-7Qm3', 'enrol-key revoke ek-7Qm3 --yes'],
    changes: true,
    destroys: true,
  })
  runs(revoke, desk, async () => (await load()).enrolKeyRevoke)

  const enrolment = noun(lotctl, 'enrolment', 'boards that enrolled, or want to', 'enrolments')
  const all = verb(enrolment, 'list', {
    description: 'list enrolments',
    examples: ['enrolment list --pending', 'enrolment list -o csv'],
  })
    .addOption(new Option('--state <state>', 'in this state').choices(['pending', 'approved', 'rejected']))
    .addOption(new Option('--pending', 'that wait for approval').conflicts('state'))
  runs(all, desk, async () => (await load()).enrolmentList)

  const approve = verb(enrolment, 'approve <enrolmentIds...>', {
    description: 'let a board in, after its fingerprint was compared',
    examples: ['enrolment approve en-7Qm3', 'enrolment approve $(lotctl enrolment list --pending -q)'],
    changes: true,
  })
  runs(approve, desk, async () => (await load()).enrolmentApprove)

  const reject = verb(enrolment, 'reject <enrolmentIds...>', {
    description: 'turn a board away',
    examples: ['enrolment reject en-7Qm3', 'enrolment reject en-7Qm3 --yes'],
    changes: true,
    destroys: true,
  })
  runs(reject, desk, async () => (await load()).enrolmentReject)
}

export function addAlarms(lotctl: Command, desk: Desk): void {
  const alarm = noun(lotctl, 'alarm', 'what an operator must look at', 'alarms')
  const list = verb(alarm, 'list', {
    description: 'list alarms',
    examples: ['alarm list --open', 'alarm list -o json'],
  }).option('--open', 'that nobody has acknowledged')
  runs(list, desk, async () => (await load()).alarmList)

  const ack = verb(alarm, 'ack <alarmIds...>', {
    description: 'acknowledge alarms',
    examples: ['alarm ack 7', 'alarm ack $(lotctl alarm list --open -q)'],
    changes: true,
  })
  runs(ack, desk, async () => (await load()).alarmAck)
}
