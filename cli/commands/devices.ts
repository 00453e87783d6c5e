/** `lotctl device` and `lotctl lot`: their verbs and options. */
import { Argument, type Command, Option } from 'commander'
import {
  coordinate,
  type Desk,
  instantMs,
  lengthSec,
  noun,
  positive,
  runs,
  verb,
  whole,
  zone,
} from './verb.ts'

export function addDevices(lotctl: Command, desk: Desk): void {
  const device = noun(lotctl, 'device', 'devices: their life, credentials, lots and configuration', 'devices')
  const load = () => import('../registry/devices.ts')
  const bulk = () => import('../registry/bulk.ts')

  const register = verb(device, 'register <deviceId>', {
    description: 'register a device and issue its first credential',
    examples: ['device register gate-1 --lot north --out gate-1.json', 'device register gate-2 --no-issue'],
    changes: true,
    issues: true,
  })
  register
    .option('--name <name>', 'for people')
    .option('--lot <lotId>', 'the lot it counts for')
    .option('--from <time>', 'since when it counts for it; default now', instantMs)
    .option('--tag <tags...>', 'what it is grouped by')
    .option('--no-issue', 'no credential: it will enrol by key')
  runs(register, desk, async () => (await load()).deviceRegister)

  const list = verb(device, 'list', {
    description: 'list devices',
    examples: ['device list --lot north', 'device list --state active --tag batch-7 -o csv'],
  })
  runs(
    withFilter(list).option('--limit <number>', 'at most so many', positive),
    desk,
    async () => (await load()).deviceList,
  )

  const show = verb(device, 'show <deviceId>', {
    description: 'show a device with its credentials and assignments',
    examples: ['device show gate-1', 'device show gate-1 -o json'],
  })
  runs(show, desk, async () => (await load()).deviceShow)

  const edit = verb(device, 'edit <deviceId>', {
    description: 'change what is known of a device',
    examples: ['device edit gate-1 --name "Gate, north"', 'device edit gate-1 --name Gate --dry-run'],
    changes: true,
  }).option('--name <name>', 'for people')
  runs(edit, desk, async () => (await load()).deviceEdit)

  const tag = verb(device, 'tag <deviceIds...>', {
    description: 'add tags to devices, or take them away',
    examples: ['device tag gate-1 gate-2 --add batch-7', 'device tag gate-1 --remove spare'],
    changes: true,
  })
    .option('--add <tags...>', 'these too')
    .option('--remove <tags...>', 'no longer these')
  runs(tag, desk, async () => (await load()).deviceTag)

  const assign = verb(device, 'assign <deviceId> <lotId>', {
    description: 'let a device count for a lot, from now or another instant on',
    examples: ['device assign gate-1 north', 'device assign gate-1 south --from 2026-12-01T06:00:00+01:00'],
    changes: true,
  }).option('--from <time>', 'since when; default now', instantMs)
  runs(assign, desk, async () => (await load()).deviceAssign)

  const suspend = verb(device, 'suspend <deviceIds...>', {
    description: 'no tokens until it is resumed; its connection is closed',
    examples: ['device suspend gate-1', 'device suspend gate-1 gate-2 --dry-run'],
    changes: true,
  })
  runs(suspend, desk, async () => (await load()).deviceSuspend)

  const resume = verb(device, 'resume <deviceIds...>', {
    description: 'let suspended devices back',
    examples: ['device resume gate-1', 'device resume gate-1 gate-2'],
    changes: true,
  })
  runs(resume, desk, async () => (await load()).deviceResume)

  const retire = verb(device, 'retire <deviceIds...>', {
    description: 'retire devices for good; what they counted stays',
    examples: ['device retire gate-1', 'device retire gate-1 --yes --no-input'],
    changes: true,
    destroys: true,
  })
  runs(retire, desk, async () => (await load()).deviceRetire)

  const rotate = verb(device, 'rotate <deviceId>', {
    description: 'issue another credential; the others end after the grace',
    examples: ['device rotate gate-1 --out gate-1.json', 'device rotate gate-1 --grace 0s'],
    changes: true,
    issues: true,
  })
  runs(withRotate(rotate), desk, async () => (await load()).deviceRotate)

  const revoke = verb(device, 'revoke <deviceId> <credentialId>', {
    description: 'void a credential of a device, and its tokens',
    examples: ['device revoke gate-1 crd-7Qm3', 'device revoke gate-1 crd-7Qm3 --yes'],
    changes: true,
    destroys: true,
  })
  runs(revoke, desk, async () => (await load()).deviceRevoke)

  const kick = verb(device, 'kick <deviceIds...>', {
    description: 'close the connections of devices at the broker; they may come back at once',
    examples: ['device kick gate-1', 'device kick gate-1 --server https://broker-2.example:8083'],
    changes: true,
  })
  runs(kick, desk, async () => (await import('../registry/connections.ts')).deviceKick)

  const fromFile = verb(device, 'import <file>', {
    description: 'register the devices of a CSV file: deviceId, name, lot, tags, serial in any order',
    examples: ['device import new.csv --dry-run', 'device import new.csv --credentials ./credentials'],
    changes: true,
  })
    .option('--credentials <folder>', 'issue secrets, and write a credential file for each device there')
    .option('--sheets <file>', 'issue enrolment keys, and write a page to print, with a QR code each')
  runs(fromFile, desk, async () => (await bulk()).deviceImport)

  const toFile = verb(device, 'export', {
    description: 'all devices, in a form that import takes; never their secrets',
    examples: ['device export -o csv > devices.csv', 'device export --lot north -o ndjson'],
  })
  runs(withFilter(toFile), desk, async () => (await bulk()).deviceExport)

  const window = verb(device, 'window <deviceId>', {
    description: 'let a device that lost its key enrol again for a while',
    examples: ['device window gate-1 --life 1h', 'device window gate-1 --close'],
    changes: true,
  })
    .option('--life <length>', 'how long; default 1h', lengthSec)
    .option('--close', 'close the window')
  runs(window, desk, async () => (await load()).deviceWindow)

  const config = noun(device, 'config', 'the configuration that is wanted of a device')
  const configGet = verb(config, 'get <deviceId>', {
    description: 'print the configuration that is wanted',
    examples: ['device config get gate-1 -o json', 'device config get gate-1'],
  })
  runs(configGet, desk, async () => (await load()).deviceConfigGet)
  const configSet = verb(config, 'set <deviceId> <file>', {
    description: 'replace it by a file with a JSON object, or by - for standard input',
    examples: ['device config set gate-1 config.json', "echo '{}' | lotctl device config set gate-1 -"],
    changes: true,
  })
  runs(configSet, desk, async () => (await load()).deviceConfigSet)

  const command = verb(device, 'command <deviceId>', {
    description: 'send a command to a device, or list those that were sent',
    examples: ['device command gate-1 ping', 'device command gate-1'],
    changes: true,
  })
    .addArgument(
      new Argument('[name]', 'absent: list').choices(['ping', 'report', 'set-count', 'rotate', 'restart']),
    )
    .option('--arguments <json>', 'a JSON object')
    .option('--life <length>', 'not delivered after that; default 24h', lengthSec)
  runs(command, desk, async () => (await load()).deviceCommand)
}

export function addLots(lotctl: Command, desk: Desk): void {
  const lot = noun(lotctl, 'lot', 'lots: what they are called, where they are, how many spaces they have')
  const load = () => import('../registry/lots.ts')

  const list = verb(lot, 'list', {
    description: 'list lots as the registry knows them',
    examples: ['lot list', 'lot list -o ndjson'],
  })
  runs(list, desk, async () => (await load()).lotList)

  const show = verb(lot, 'show <lotId>', {
    description: 'show a lot with its capacities',
    examples: ['lot show north', 'lot show north --tz Europe/Athens'],
  })
  runs(show, desk, async () => (await load()).lotShow)

  const set = verb(lot, 'set <lotId>', {
    description: 'register a lot, or change what is known of it; the rest stays as it is',
    examples: [
      'lot set north --name "North deck" --capacity 80',
      'lot set north --zone Europe/Athens --hours "Mo-Fr 06:00-22:00; Sa 08:00-20:00; Su off"',
    ],
    changes: true,
  })
    .option('--name <name>', 'for people; required for a new lot')
    .option('--latitude <degrees>', 'WGS 84', coordinate)
    .option('--longitude <degrees>', 'WGS 84', coordinate)
    .option('--zone <zone>', 'IANA time zone of the lot', zone)
    .option('--hours <hours>', 'when it is open, in that zone; 24/7 for always')
    .option('--capacity <spaces>', 'how many spaces', whole)
    .option(
      '--from <time>',
      'since when it has that capacity; default now, of a new lot ever since',
      instantMs,
    )
  runs(set, desk, async () => (await load()).lotSet)

  const capacity = noun(lot, 'capacity', 'how many spaces a lot has')
  const capacitySet = verb(capacity, 'set <lotId> <spaces>', {
    description: 'set how many spaces, from now or another instant on',
    examples: ['lot capacity set north 82', 'lot capacity set north 60 --from 2026-12-01'],
    changes: true,
  }).option('--from <time>', 'since when; default now', instantMs)
  runs(capacitySet, desk, async () => (await load()).lotCapacitySet)
}

function withFilter(command: Command): Command {
  return command
    .option('--tag <tags...>', 'that have all of these')
    .addOption(
      new Option('--state <state>', 'in this state').choices([
        'registered',
        'enrolled',
        'active',
        'suspended',
        'retired',
      ]),
    )
    .option('--lot <lotId>', 'that count for this lot')
    .option('--search <text>', 'whose id or name begins so')
}

export function withRotate(command: Command): Command {
  return command
    .option('--grace <length>', 'how long the others still work; default 7d', lengthSec)
    .option('--public-key <file>', 'a public key as JWK or PEM, instead of a secret')
}
