/** Import as lotctl does it, against a peer that speaks the route: verdicts as they come, files, exit codes. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Call, type CallFlags } from '../../../cli/call.ts'
import { readCliConfig } from '../../../cli/config.ts'
import { placesOf } from '../../../cli/places.ts'
import { deviceImport } from '../../../cli/registry/bulk.ts'
import { makeDataDir } from '../../kit/program.ts'

const secret = `lotsec_${'a'.repeat(43)}_00000000`
const credentialOf = (deviceId: string) => ({
  v: 1,
  issuer: 'http://127.0.0.1:1',
  token_endpoint: 'http://127.0.0.1:1/oauth/token',
  client_id: deviceId,
  client_secret: secret,
  token_endpoint_auth_method: 'client_secret_basic',
})

describe('device import', () => {
  const said = { answer: '', note: '' }
  let folder: { path: string; remove: () => void }
  let server: Server
  let url: string
  let lines: readonly string[]
  let breaksOff: boolean
  const asked: { path: string; type: string | undefined; body: string }[] = []

  beforeEach(async () => {
    folder = makeDataDir()
    asked.length = 0
    Object.assign(said, { answer: '', note: '' })
    breaksOff = false
    server = createServer((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      request.on('end', () => {
        const path = request.url ?? ''
        if (path === '/oauth/token') {
          response.setHeader('content-type', 'application/json')
          response.end(JSON.stringify({ access_token: 'a.b.c', token_type: 'Bearer', expires_in: 60 }))
          return
        }
        asked.push({ path, type: request.headers['content-type'], body })
        response.setHeader('content-type', 'application/x-ndjson')
        // In pieces that end within lines.
        const text = lines.map((line) => `${line}\n`).join('')
        response.write(text.slice(0, 25))
        setImmediate(() => {
          response.write(text.slice(25))
          setImmediate(() => (breaksOff ? response.destroy() : response.end()))
        })
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const credential = { ...credentialOf('operator'), token_endpoint: `${url}/oauth/token` }
    writeFileSync(join(folder.path, 'operator.json'), JSON.stringify(credential), { mode: 0o600 })
    writeFileSync(join(folder.path, 'new.csv'), 'deviceId,lot\ngate-1,north\ngate-2,nroth\n')
  })
  afterEach(() => {
    server.closeAllConnections()
    server.close()
    folder.remove()
  })

  function run(flags: CallFlags & { credentials?: string; sheets?: string }) {
    const source = { file: {}, env: { LOTWATCH_DATA: folder.path } }
    const voice = {
      answer: (text: string) => {
        said.answer += `${text}\n`
      },
      note: (text: string) => {
        said.note += `${text}\n`
      },
    }
    const home = { source, config: readCliConfig(source), places: placesOf(source), programsDir: '', voice }
    return deviceImport(new Call(home, { ...flags, server: url }), flags, join(folder.path, 'new.csv'))
  }

  const created = (more: object) =>
    JSON.stringify({ line: 2, deviceId: 'gate-1', verdict: 'created', ...more })
  const wrong = JSON.stringify({
    line: 3,
    verdict: 'error',
    faults: ['lot: "nroth" is no lot. Did you mean "north"?'],
  })
  const summary = (errors: number) => JSON.stringify({ summary: { created: 1, unchanged: 0, errors } })

  it('sends the file as it is, and tells a partial success by its exit code and its rows', async () => {
    lines = [created({}), wrong, summary(1)]
    expect(await run({ output: 'json' })).toBe(6)
    expect(asked).toEqual([
      {
        path: '/v1/devices/import?dryRun=false&issue=none',
        type: 'text/csv',
        body: 'deviceId,lot\ngate-1,north\ngate-2,nroth\n',
      },
    ])
    expect(JSON.parse(said.answer)).toMatchObject({
      verdicts: [{ verdict: 'created' }, { verdict: 'error' }],
      summary: { created: 1, errors: 1 },
    })
  })

  it('shows people what went wrong alone, and says that a dry run changed nothing', async () => {
    lines = [created({}), wrong, summary(1)]
    await run({ output: 'table', dryRun: true })
    expect(asked[0]?.path).toContain('dryRun=true')
    expect(said.answer).toContain('Did you mean')
    expect(said.answer).not.toContain('gate-1')
    expect(said.note).toContain('1 would be created')
    expect(said.note).toContain('nothing was changed')
  })

  it('writes a credential file for each device, and no secret anywhere else', async () => {
    lines = [created({ credential: credentialOf('gate-1') }), summary(0)]
    const credentials = join(folder.path, 'credentials')
    expect(await run({ output: 'json', credentials })).toBe(0)
    expect(asked[0]?.path).toContain('issue=secret')
    const file = join(credentials, 'gate-1.json')
    expect(JSON.parse(readFileSync(file, 'utf8')).client_secret).toBe(secret)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(said.answer + said.note).not.toContain(secret)
  })

  it('writes sheets with a key each', async () => {
    lines = [created({ enrolKey: 'lotenr_x' }), summary(0)]
    const sheets = join(folder.path, 'sheets.html')
    expect(await run({ output: 'json', sheets })).toBe(0)
    expect(readFileSync(sheets, 'utf8')).toContain('gate-1')
    expect(statSync(sheets).mode & 0o777).toBe(0o600)
    expect(said.answer).not.toContain('lotenr_x')
  })

  it('keeps what came before the answer broke off, and says that it did', async () => {
    lines = [created({ credential: credentialOf('gate-1') })]
    breaksOff = true
    const credentials = join(folder.path, 'credentials')
    await expect(run({ output: 'json', credentials })).rejects.toMatchObject({
      code: 'provisioning.unavailable',
    })
    expect(existsSync(join(credentials, 'gate-1.json'))).toBe(true)
  })
})
