import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { awaitCredentialFile } from '../../../../core/runtime/credential.ts'
import { createLog } from '../../../../core/runtime/log.ts'
import { eventually, makeDataDir } from '../../../kit/program.ts'

const credential = {
  v: 1,
  issuer: 'https://issuer.example',
  token_endpoint: 'https://issuer.example/oauth/token',
  client_id: 'broker',
  client_secret: 'anything',
  token_endpoint_auth_method: 'client_secret_basic',
}
let dir: ReturnType<typeof makeDataDir>
beforeAll(() => {
  dir = makeDataDir()
})
afterAll(() => dir.remove())

function openLog() {
  const lines: string[] = []
  return { lines, log: createLog({ program: 'test', write: (line) => void lines.push(line) }) }
}

describe('a program’s own credential', () => {
  it('is waited for, and said to be', async () => {
    const path = join(dir.path, 'broker.json')
    const { log, lines } = openLog()
    const awaited = awaitCredentialFile(path, { log, waitMs: 10_000 })
    await eventually(() => lines.some((line) => line.includes('"credential.awaited"')))
    writeFileSync(`${path}.new`, JSON.stringify(credential), { mode: 0o600 })
    renameSync(`${path}.new`, path)
    expect(await awaited).toEqual(credential)
  })

  it('is read at once when it is there', async () => {
    const path = join(dir.path, 'ingest.json')
    writeFileSync(path, JSON.stringify(credential), { mode: 0o600 })
    const { log, lines } = openLog()
    expect(await awaitCredentialFile(path, { log, waitMs: 0 })).toEqual(credential)
    expect(lines).toEqual([])
  })

  it('is missing when it has not come in time', async () => {
    const { log } = openLog()
    const path = join(dir.path, 'none.json')
    await expect(awaitCredentialFile(path, { log, waitMs: 100 })).rejects.toMatchObject({
      code: 'credential.invalid',
      message: expect.stringContaining(path),
    })
  })
})
