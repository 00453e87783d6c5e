import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { connect, createServer } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { initTls, parseServerName } from '../../../cli/tls.ts'
import { makeDataDir } from '../../kit/program.ts'

let dir: ReturnType<typeof makeDataDir>
beforeAll(() => {
  dir = makeDataDir()
})
afterAll(() => dir.remove())

const now = new Date()
const init = (folder: string, ...names: string[]) =>
  initTls(join(dir.path, folder), { servers: names.map(parseServerName), days: 30, now })
const read = (...path: string[]) => readFileSync(join(dir.path, ...path), 'utf8')

describe('a private authority', () => {
  it('vouches for a server by each of its names, on a real connection', async () => {
    await init('a', 'broker:localhost,127.0.0.1')
    const ca = read('a', 'ca.pem')
    const server = createServer({ cert: read('a', 'broker.pem'), key: read('a', 'broker.key') }, (socket) =>
      socket.on('error', () => undefined).end('hello'),
    ).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number } // listening on TCP
    try {
      for (const host of ['localhost', '127.0.0.1', 'broker']) {
        const socket = connect({ host: '127.0.0.1', port, ca, servername: host === '127.0.0.1' ? '' : host })
        await once(socket, 'secureConnect')
        expect(socket.authorized).toBe(true)
        socket.destroy()
      }
      const stranger = connect({ host: '127.0.0.1', port, ca, servername: 'elsewhere' })
      const [error] = (await once(stranger, 'error')) as [NodeJS.ErrnoException]
      expect(error.code).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    } finally {
      server.close()
    }
  })

  it('keeps keys from others, and never writes over what is there', async () => {
    await init('b', 'ingest')
    const before = read('b', 'ca.pem') + read('b', 'ingest.key')
    const written = await init('b', 'ingest', 'provisioning')
    expect(written).toEqual(['provisioning.key', 'provisioning.pem'])
    expect(read('b', 'ca.pem') + read('b', 'ingest.key')).toBe(before)
    for (const key of ['ca.key', 'ingest.key', 'provisioning.key'])
      expect(statSync(join(dir.path, 'b', key)).mode & 0o777).toBe(0o600)
    const authority = new X509Certificate(before.slice(0, before.indexOf('-----END CERTIFICATE-----') + 25))
    expect(new X509Certificate(read('b', 'provisioning.pem')).verify(authority.publicKey)).toBe(true)
  })

  it('keeps its own key apart when told to, and goes on signing with it', async () => {
    const options = { authorityDir: join(dir.path, 'authority'), days: 30, now }
    await initTls(join(dir.path, 'd'), { ...options, servers: [parseServerName('ingest')] })
    await initTls(join(dir.path, 'd'), { ...options, servers: [parseServerName('broker')] })
    expect(readdirSync(join(dir.path, 'd')).sort()).toEqual([
      'broker.key',
      'broker.pem',
      'ca.pem',
      'ingest.key',
      'ingest.pem',
    ])
    expect(readdirSync(options.authorityDir)).toEqual(['ca.key'])
    const authority = new X509Certificate(read('d', 'ca.pem'))
    expect(new X509Certificate(read('d', 'broker.pem')).verify(authority.publicKey)).toBe(true)
  })

  it('is not begun anew when half of it is lost', async () => {
    await init('c', 'ingest')
    rmSync(join(dir.path, 'c', 'ca.key'))
    await expect(init('c', 'broker')).rejects.toMatchObject({ code: 'file.invalid' })
  })

  it.each(['', ':x', '../x', 'a b'])('makes no file for a name that is none: %j', (name) => {
    expect(() => parseServerName(name)).toThrow(/NAME/)
  })
})
