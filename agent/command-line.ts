/** What can be said to `lot-agent` at the terminal: its commands and their options. What they do is given. */
import { Command } from 'commander'
import type { EnrolFlags } from './verbs/enrol.ts'
import { enrolFileDefault, type ServiceFlags } from './verbs/service.ts'

/** Each may go on after it has returned: a promise is waited for. */
export interface Doings {
  run(): void
  fleet(file: string): void
  testSensor(): void
  enrol(url: string | undefined, flags: EnrolFlags): void
  status(flags: { readonly json?: true }): void
  doctor(): void
  install(flags: ServiceFlags): void
  uninstall(flags: ServiceFlags): void
  showCredential(): void
  checkConfig(): void
  showConfig(flags: { readonly origin?: true }): void
}

export function commandLineOf(doings: Doings): Command {
  const program = new Command('lot-agent')
    .description('counts cars on a lot and sees to it that no count is lost')
    .helpCommand(false)
    .option(
      '--set <name=value>',
      'a setting, over files and environment; may come again',
      (flag: string, flags: string[]) => [...flags, flag],
      [],
    )
  program
    .command('run')
    .description('be the device of the credential file (LOT_AGENT_CREDENTIAL_FILE)')
    .action(() => doings.run())
  program
    .command('fleet')
    .description('be every device of a fleet file, in one process')
    .argument('<file>', 'fleet.json, as lotctl writes it')
    .action((file: string) => doings.fleet(file))
  program
    .command('sensor')
    .description('look at the sensor of the settings')
    .helpCommand(false)
    .command('test')
    .description('show what the sensor says, once a second, until stopped; nothing is kept or sent')
    .action(() => doings.testSensor())
  program
    .command('enrol')
    .description('make this board a device; ends when its first reading has arrived')
    .argument('[url]', 'of provisioning, such as https://lots.example:8081')
    .option('--key <key>', 'enrolment key, from an operator')
    .option('--name <name>', 'for people')
    .option('--device <id>', 'identifier to have; needed where a window is open and there is no key')
    .option('--ca <file>', 'certificate authority of the server, PEM, where it is not a public one')
    .option('--file <file>', 'all of it from a file, as on the boot partition; removed when done')
    .option('--again', 'a new key for this device, on proof of the old one')
    .option('--replace', 'become another device than this board is now')
    .option('--timeout <seconds>', 'longest wait for the first reading', '300')
    .action((url: string | undefined, flags: EnrolFlags) => doings.enrol(url, flags))
  program
    .command('status')
    .description('how the agent on this board is')
    .option('--json', 'for programs')
    .action((flags: { json?: true }) => doings.status(flags))
  program
    .command('doctor')
    .description('look at everything a device needs, and say what to do next')
    .action(() => doings.doctor())
  const service = program
    .command('service')
    .description('the agent as a service of systemd')
    .helpCommand(false)
  for (const [verb, description, act] of [
    ['install', 'write its user and units, and start it', doings.install],
    [
      'uninstall',
      'stop it and remove them; the device keeps its credential and its readings',
      doings.uninstall,
    ],
  ] as const)
    service
      .command(verb)
      .description(description)
      .option('--dry-run', 'say what would be done')
      .option('--root <folder>', 'put the files below it, as into the image of a card; nothing is run')
      .option('--enrol-file <file>', 'where an enrolment file is looked for at each boot', enrolFileDefault)
      .action((flags: ServiceFlags) => act(flags))
  const credential = program
    .command('credential')
    .description('the credential of this device')
    .helpCommand(false)
  credential
    .command('show')
    .description('who this device is, without what is secret')
    .action(() => doings.showCredential())
  const settings = program.command('config').description('the settings of this board').helpCommand(false)
  settings
    .command('check')
    .description('every fault of the settings, with file and line; exit code 78 when there is one')
    .action(() => doings.checkConfig())
  settings
    .command('show')
    .description('the settings as they are, without what may be secret')
    .option('--origin', 'and where each comes from')
    .action((flags: { origin?: true }) => doings.showConfig(flags))
  return program
}
