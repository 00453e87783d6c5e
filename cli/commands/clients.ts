/** `lotctl client`, `api` and `grant`: their verbs and options. */
import { type Command, Option } from 'commander'
import { withRotate } from './devices.ts'
import { type Desk, lengthSec, noun, positive, runs, verb, whole } from './verb.ts'

const load = () => import('../registry/clients.ts')

export function addClients(lotctl: Command, desk: Desk): void {
  const client = noun(lotctl, 'client', 'OAuth clients that are no devices', 'clients')

  const create = verb(client, 'create <oauthClientId>', {
    description: 'register a client and issue its first credential',
    examples: [
      'client create dashboard --grant ingest=read:readings --out dashboard.json',
      'client create ci --kind command-line --public-key ci.pem',
    ],
    changes: true,
    issues: true,
  })
    .addOption(
      new Option('--kind <kind>', 'what it is').choices(['service', 'command-line']).default('service'),
    )
    .option('--grant <grants...>', 'AUDIENCE=SCOPE,SCOPE')
    .option('--public-key <file>', 'its public key as JWK or PEM, instead of a secret')
  runs(withClient(create), desk, async () => (await load()).clientCreate)

  const list = verb(client, 'list', {
    description: 'list clients',
    examples: ['client list', 'client list -q'],
  }).option('--limit <number>', 'at most so many', positive)
  runs(list, desk, async () => (await load()).clientList)

  const show = verb(client, 'show <oauthClientId>', {
    description: 'show a client with its grants and credentials',
    examples: ['client show dashboard', 'client show dashboard -o json'],
  })
  runs(show, desk, async () => (await load()).clientShow)

  const edit = verb(client, 'edit <oauthClientId>', {
    description: 'change what is named; the rest stays as it is',
    examples: ['client edit dashboard --per-hour 60', 'client edit dashboard --grants off'],
    changes: true,
  }).addOption(
    new Option('--grants <switch>', 'whether it may use the client credentials grant').choices(['on', 'off']),
  )
  runs(withClient(edit), desk, async () => (await load()).clientEdit)

  const rotate = verb(client, 'rotate <oauthClientId>', {
    description: 'issue another credential; the others end after the grace',
    examples: ['client rotate dashboard --out dashboard.json', 'client rotate dashboard --grace 1h'],
    changes: true,
    issues: true,
  })
  runs(withRotate(rotate), desk, async () => (await load()).clientRotate)

  const revoke = verb(client, 'revoke <oauthClientId> <credentialId>', {
    description: 'void a credential of a client, and its tokens',
    examples: ['client revoke dashboard crd-7Qm3', 'client revoke dashboard crd-7Qm3 --yes'],
    changes: true,
    destroys: true,
  })
  runs(revoke, desk, async () => (await load()).clientRevoke)

  const retire = verb(client, 'retire <oauthClientIds...>', {
    description: 'retire clients for good; their tokens are void',
    examples: ['client retire dashboard', 'client retire dashboard --yes --no-input'],
    changes: true,
    destroys: true,
  })
  runs(retire, desk, async () => (await load()).clientRetire)
}

export function addGrants(lotctl: Command, desk: Desk): void {
  const grant = noun(lotctl, 'grant', 'what a client may get at an audience', 'grants')

  const set = verb(grant, 'set <oauthClientId> <audience> <scopes...>', {
    description: 'grant these scopes and no others at an audience',
    examples: [
      'grant set dashboard ingest read:readings',
      'grant set ci provisioning read:devices read:audit',
    ],
    changes: true,
  })
  runs(set, desk, async () => (await load()).grantSet)

  const list = verb(grant, 'list [oauthClientId]', {
    description: 'list grants, of one client or of all',
    examples: ['grant list', 'grant list dashboard -o json'],
  })
  runs(list, desk, async () => (await load()).grantList)

  const revoke = verb(grant, 'revoke <oauthClientId> <audience>', {
    description: 'take away what a client was granted at an audience',
    examples: ['grant revoke dashboard ingest', 'grant revoke dashboard ingest --yes'],
    changes: true,
    destroys: true,
  })
  runs(revoke, desk, async () => (await load()).grantRevoke)
}

export function addApis(lotctl: Command, desk: Desk): void {
  const api = noun(lotctl, 'api', 'APIs: the audiences that tokens are for', 'apis')

  const list = verb(api, 'list', {
    description: 'list APIs',
    examples: ['api list', 'api list -o json'],
  })
  runs(list, desk, async () => (await load()).apiList)

  const show = verb(api, 'show <audience>', {
    description: 'show an API with its scopes',
    examples: ['api show ingest', 'api show https://tariffs.example/api'],
  })
  runs(show, desk, async () => (await load()).apiShow)

  const set = verb(api, 'set <audience>', {
    description: 'register an API, or change what is named; the rest stays as it is',
    examples: [
      'api set https://tariffs.example/api --name Tariffs --scope "read:tariffs=see prices"',
      'api set https://tariffs.example/api --dialect auth0 --alg RS256',
    ],
    changes: true,
  })
    .option('--name <name>', 'for people; required for a new API')
    .option('--scope <scopes...>', 'SCOPE or SCOPE=what it is for; replaces those there are')
    .option('--life <length>', 'of its tokens, such as 1h', lengthSec)
    .addOption(
      new Option('--alg <alg>', 'what its tokens are signed with').choices(['ES256', 'RS256', 'EdDSA']),
    )
    .addOption(new Option('--dialect <dialect>', 'what its tokens look like').choices(['rfc9068', 'auth0']))
  runs(withQuota(set), desk, async () => (await load()).apiSet)

  const retire = verb(api, 'retire <audience>', {
    description: 'retire an API that no client has a grant for',
    examples: ['api retire https://tariffs.example/api', 'api retire https://tariffs.example/api --yes'],
    changes: true,
    destroys: true,
  })
  runs(retire, desk, async () => (await load()).apiRetire)
}

function withClient(command: Command): Command {
  return withQuota(command)
    .option('--name <name>', 'for people')
    .addOption(
      new Option('--auth-method <methods...>', 'ways to authenticate').choices([
        'client_secret_basic',
        'client_secret_post',
        'private_key_jwt',
      ]),
    )
    .option('--metadata <pairs...>', 'NAME=VALUE, for people and rules')
    .option('--lot <lotIds...>', 'an analyst’s limit: only these lots')
}

function withQuota(command: Command): Command {
  return command
    .option('--per-hour <tokens>', 'at most so many tokens an hour', whole)
    .option('--per-day <tokens>', 'at most so many tokens a day', whole)
}
