/** `lotctl login`, `token`, `keys`, `rules`, `audit`, `explain`, `status`, `doctor` and the like: verbs and options. */
import { type Command, Option } from 'commander'
import { type Desk, noun, positive, runs, verb } from './verb.ts'

const server = () => import('../registry/server.ts')
const session = () => import('../registry/session.ts')

export function addSession(lotctl: Command, desk: Desk): void {
  const login = verb(lotctl, 'login [file]', {
    description: 'keep a credential for a server, from a file or as a person types it',
    examples: ['login operator.json', 'login --server https://lots.example:8081 --profile work'],
  })
    .option('--ingest <url>', 'where ingest is')
    .option('--broker <url>', 'where the broker’s HTTP face is')
  runs(login, desk, async () => (await session()).login)

  const logout = verb(lotctl, 'logout', {
    description: 'forget a credential that was kept',
    examples: ['logout', 'logout --profile work'],
  })
  runs(logout, desk, async () => (await session()).logout)

  const whoami = verb(lotctl, 'whoami', {
    description: 'who lotctl is, and what it may do',
    examples: ['whoami', 'whoami -o json'],
  })
  runs(whoami, desk, async () => (await server()).whoami)
}

/** @param token the noun, which has `get` already */
export function addTokens(token: Command, desk: Desk): void {
  const inspect = verb(token, 'inspect <token>', {
    description: 'what a token says of itself; - reads it from standard input',
    examples: ['token get --audience ingest | lotctl token inspect -', 'token inspect - < token.txt'],
  })
  runs(inspect, desk, async () => (await session()).tokenInspect)

  const revoke = verb(token, 'revoke <token>', {
    description: 'void a token, or the one with this jti; - reads it from standard input',
    examples: ['token revoke - < token.txt', 'token revoke 5f0c3a77 --yes'],
    changes: true,
    destroys: true,
  })
  runs(revoke, desk, async () => (await session()).tokenRevoke)
}

export function addIssuer(lotctl: Command, desk: Desk): void {
  const rules = noun(lotctl, 'rules', 'rules at token time', 'rule')
  const rulesList = verb(rules, 'list', {
    description: 'list the rules that are in force, in their order',
    examples: ['rules list', 'rules list -o json'],
  })
  runs(rulesList, desk, async () => (await server()).rulesList)
  const rulesShow = verb(rules, 'show <name>', {
    description: 'show the text of a rule that is in force',
    examples: ['rules show 10-deny.js', 'rules show 10-deny.js -o json'],
  })
  runs(rulesShow, desk, async () => (await server()).rulesShow)
  const rulesTest = withRequest(
    verb(rules, 'test <file>', {
      description: 'what a rule would do to a token request; nothing is issued',
      examples: ['rules test deny.js --client gate-1', 'rules test narrow.js --client ci --audience ingest'],
    }).requiredOption('--client <oauthClientId>', 'required: who would ask'),
  ).addOption(
    new Option('--shape <shape>', 'as which it is read; default: as it looks').choices(['rule', 'action']),
  )
  runs(rulesTest, desk, async () => (await server()).rulesTest)

  const keys = noun(lotctl, 'keys', 'the keys that tokens are signed with', 'key')
  const keysList = verb(keys, 'list', {
    description: 'list signing keys and when they sign',
    examples: ['keys list', 'keys list -o json'],
  })
  runs(keysList, desk, async () => (await server()).keysList)
  const keysRotate = verb(keys, 'rotate', {
    description: 'make the next signing key: published now, signing after a while',
    examples: ['keys rotate', 'keys rotate --alg RS256 --dry-run'],
    changes: true,
  }).addOption(new Option('--alg <alg>', 'only this one').choices(['ES256', 'RS256', 'EdDSA']))
  runs(keysRotate, desk, async () => (await server()).keysRotate)
}

export function addRecords(lotctl: Command, desk: Desk): void {
  const audit = noun(lotctl, 'audit', 'who changed what')
  const list = withWho(
    verb(audit, 'list', {
      description: 'the latest entries, newest first',
      examples: ['audit list --subject gate-1', 'audit list --actor operator --limit 200 -o json'],
    }),
  ).option('--limit <number>', 'at most so many; default 50', positive)
  runs(list, desk, async () => (await server()).auditList)
  const whole = withWho(
    verb(audit, 'export', {
      description: 'the whole log, as it is streamed',
      examples: ['audit export > audit.ndjson', 'audit export --format csv > audit.csv'],
    }),
  ).addOption(new Option('--format <format>', 'of the lines; default ndjson').choices(['ndjson', 'csv']))
  runs(whole, desk, async () => (await server()).auditExport)

  const decision = noun(lotctl, 'decision', 'what the token endpoint decided', 'decisions')
  const decisions = verb(decision, 'list', {
    description: 'the latest decisions, newest first',
    examples: ['decision list --outcome refused', 'decision list --client gate-1'],
  })
    .option('--client <oauthClientId>', 'about this client')
    .addOption(new Option('--outcome <outcome>', 'only these').choices(['issued', 'refused']))
    .option('--limit <number>', 'at most so many; default 50', positive)
  runs(decisions, desk, async () => (await server()).decisionList)

  const explain = withRequest(
    verb(lotctl, 'explain [decisionId]', {
      description: 'what decided about a token request, or would about one made now; or about connections',
      examples: ['explain --client gate-1 --audience broker', 'explain --device gate-1'],
    })
      .option('--client <oauthClientId>', 'what would happen to this client now')
      .option('--device <id>', 'why its last connections were let in, refused or closed; asks the broker'),
  )
  runs(explain, desk, async () => (await server()).explainDecision)
}

export function addWatch(lotctl: Command, desk: Desk): void {
  const tail = verb(lotctl, 'tail', {
    description: 'show what happens to connections as it happens, until it is interrupted; asks the broker',
    examples: ['tail --device gate-1', 'tail -o ndjson'],
  }).option('--device <id>', 'only what concerns it')
  runs(tail, desk, async () => (await import('../registry/connections.ts')).tail)
}

export function addHealth(lotctl: Command, desk: Desk): void {
  const status = verb(lotctl, 'status', {
    description: 'how the registry stands',
    examples: ['status', 'status -o json'],
  })
  runs(status, desk, async () => (await server()).statusShow)

  const doctor = verb(lotctl, 'doctor', {
    description: 'look for what is wrong or soon will be, with the next step for each',
    examples: ['doctor', 'doctor -o ndjson'],
  })
  runs(doctor, desk, async () => (await import('../registry/doctor.ts')).doctor)
}

function withWho(command: Command): Command {
  return command
    .option('--subject <id>', 'about this device, client, lot …')
    .option('--actor <oauthClientId>', 'by this client')
}

function withRequest(command: Command): Command {
  return command
    .option('--audience <name>', 'provisioning, broker, ingest, or a whole audience')
    .option('--scope <scopes>', 'separated by spaces; default: all that were granted')
}
