/** Who may take up the broker's time before anybody has vouched for them: sockets, handshakes, CONNECTs, load balancers. */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { initTls } from '../../cli/tls.ts'
import { type BrokerUnderTest, openSocket, startBroker } from '../kit/broker.ts'
import { RawClient } from '../kit/mqtt.ts'
import { eventually, freePort, makeDataDir } from '../kit/program.ts'
import { proxyHeader } from '../kit/proxy-header.ts'

const handshakeMs = 700
const connectMs = 1500
/** A load balancer's addresses; every other address of loopback is a device's. */
const balancer = '127.0.3.1'

describe('the front door', () => {
  const folder = makeDataDir()
  const certFile = join(folder.path, 'server.pem')
  const keyFile = join(folder.path, 'server.key')
  let broker: BrokerUnderTest
  let mqttsPort: number

  /** Puts the pair that was made in a folder of this name where the broker looks. */
  async function install(name: string): Promise<void> {
    const made = join(folder.path, name)
    mkdirSync(made, { recursive: true })
    await initTls(made, { servers: [{ name: 'localhost', others: ['127.0.0.1'] }], days: 1, now: new Date() })
    copyFileSync(join(made, 'localhost.pem'), certFile)
    copyFileSync(join(made, 'localhost.key'), keyFile)
  }
  const authority = (name: string) => readFileSync(join(folder.path, name, 'ca.pem'))

  beforeAll(async () => {
    await install('first')
    mqttsPort = await freePort()
    broker = await startBroker({
      env: {
        LOTWATCH_BROKER_MQTTS_HOST: '127.0.0.1',
        LOTWATCH_BROKER_MQTTS_PORT: String(mqttsPort),
        LOTWATCH_BROKER_TLS_CERT_FILE: certFile,
        LOTWATCH_BROKER_TLS_KEY_FILE: keyFile,
        LOTWATCH_BROKER_HANDSHAKE_TIMEOUT_MS: String(handshakeMs),
        LOTWATCH_BROKER_CONNECT_TIMEOUT_MS: String(connectMs),
        LOTWATCH_BROKER_ATTEMPTS_PER_ADDRESS_BURST: '20',
        LOTWATCH_BROKER_ATTEMPTS_PER_ADDRESS_PER_SEC: '0.01',
        LOTWATCH_BROKER_PENDING_PER_ADDRESS_MAX: '500',
        LOTWATCH_BROKER_PROXY_PEERS: '127.0.3.0/24, 2001:db8::1',
      },
    })
  })
  afterAll(async () => {
    await broker.stop()
    folder.remove()
  })

  /** A TLS connection on a socket that may have said something before. */
  function secure(socket: Awaited<ReturnType<typeof openSocket>>, ca: Buffer): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const tls = connectTls({ socket, ca, servername: 'localhost' }, () => resolve(tls)).once(
        'error',
        reject,
      )
    })
  }
  const lastRefusal = () => broker.events('connect.refused').at(-1) ?? {}

  describe('for CONNECTs that fail', () => {
    it('answers “come back” without looking, after so many from one address, and to no other address', async () => {
      const from = '127.0.2.1'
      expect(await broker.answerTo('resident', { from })).toBe(0)
      const guess = (_: unknown, i: number) => broker.answerTo(`guess-${i}`, { from, token: 'open sesame' })
      const answers = await Promise.all(Array.from({ length: 40 }, guess))
      expect(answers.filter((code) => code === 5)).toHaveLength(20)
      expect(answers.filter((code) => code === 3)).toHaveLength(20)
      await eventually(() => lastRefusal().code === 'request.too_many')
      // A good token is no reason to look: that it is good would be known only by looking.
      expect(await broker.answerTo('newcomer', { from })).toBe(3)
      expect(await broker.answerTo('newcomer', { from: '127.0.2.2' })).toBe(0)
      expect(await broker.answerTo('resident', { from })).toBe(0)
    })

    it('keeps no account of those that succeed', async () => {
      const from = '127.0.2.3'
      const token = await broker.token('regular')
      for (let i = 0; i < 5; i++) expect(await broker.answerTo(`regular-${i}`, { from })).toBe(0)
      const clients = await Promise.all(
        Array.from({ length: 15 }, (_, i) => broker.answerTo(`regular-${i + 10}`, { from })),
      )
      expect(clients).toEqual(Array(15).fill(0))
      expect(await broker.answerTo('regular', { from, token })).toBe(0)
    })
  })

  it('lets a device in between five hundred that drip their CONNECT, and closes every one of those', async () => {
    const from = '127.0.2.4'
    const drips = await Promise.all(Array.from({ length: 500 }, () => broker.open(from)))
    const bytes = Buffer.concat([Buffer.from([0x10, 0xd0, 0x0f, 0, 4]), Buffer.alloc(200, 0x41)])
    let at = 0
    const dripping = setInterval(() => {
      const byte = bytes.subarray(at, ++at)
      for (const client of drips) if (!client.isClosed) client.write(byte)
    }, 50)
    try {
      // There is no place left at this address; each that has had its time makes room.
      await eventually(async () => (await broker.answerTo('hurried', { from })) === 0, connectMs)
      expect(await broker.answerTo('elsewhere', { from: '127.0.2.5' })).toBe(0)
      await eventually(() => drips.every((client) => client.isClosed), connectMs + 3000)
    } finally {
      clearInterval(dripping)
    }
  })

  describe('for load balancers', () => {
    async function throughBalancer(header: Buffer, from = balancer): Promise<RawClient> {
      const client = await broker.open(from)
      client.write(header)
      return client
    }
    const connectOf = async (client: RawClient, deviceId: string) => {
      client.connect({
        clientId: deviceId,
        username: deviceId,
        password: Buffer.from(await broker.token(deviceId)),
      })
      return (await client.next('connack')).returnCode
    }
    const addressOf = (deviceId: string) =>
      broker.events('device.connected').findLast((line) => line.deviceId === deviceId)?.remoteAddress

    it('takes whose connection it is from their header', async () => {
      const client = await throughBalancer(proxyHeader({ source: [203, 0, 113, 7] }))
      expect(await connectOf(client, 'behind')).toBe(0)
      expect(await eventually(() => addressOf('behind'))).toBe('203.0.113.7')
      client.close()
    })

    it('counts failures for the address behind them, and not for theirs', async () => {
      const codes: (number | undefined)[] = []
      for (let i = 0; i < 25; i++) {
        const client = await throughBalancer(proxyHeader({ source: [203, 0, 113, 66] }))
        client.connect({ clientId: 'guess', username: 'guess', password: Buffer.from('x') })
        codes.push((await client.next('connack')).returnCode)
        client.close()
      }
      expect(codes.at(-1)).toBe(3)
      const neighbour = await throughBalancer(proxyHeader({ source: [203, 0, 113, 67] }))
      expect(await connectOf(neighbour, 'neighbour')).toBe(0)
      neighbour.close()
    })

    it('takes the header byte by byte, and with the CONNECT behind it in one segment', async () => {
      const client = await broker.open(balancer)
      for (const byte of proxyHeader()) client.write(Buffer.from([byte]))
      expect(await connectOf(client, 'slowly')).toBe(0)
      client.close()
      const { generate } = await import('mqtt-packet')
      const { connectPacket } = await import('../kit/mqtt.ts')
      const packet = connectPacket({
        clientId: 'at-once',
        username: 'at-once',
        password: Buffer.from(await broker.token('at-once')),
      })
      const other = await throughBalancer(Buffer.concat([proxyHeader(), generate(packet)]))
      expect((await other.next('connack')).returnCode).toBe(0)
      other.close()
    })

    it('lets them speak for themselves', async () => {
      const client = await throughBalancer(proxyHeader({ command: 0x20, family: 0, rest: Buffer.alloc(0) }))
      expect(await connectOf(client, 'balancer')).toBe(0)
      expect(await eventually(() => addressOf('balancer'))).toBe(balancer)
      client.close()
    })

    it('reads the header before the TLS handshake', async () => {
      const socket = await openSocket(mqttsPort, balancer)
      socket.write(proxyHeader({ source: [203, 0, 113, 8] }))
      const client = RawClient.over(await secure(socket, authority('first')))
      expect(await connectOf(client, 'behind-tls')).toBe(0)
      expect(await eventually(() => addressOf('behind-tls'))).toBe('203.0.113.8')
      client.close()
    })

    it.each([
      ['without a header', Buffer.from([0x10, 0x0e, 0, 4, 0x4d])],
      ['with one of another version', Buffer.from('PROXY TCP4 203.0.113.7 127.0.0.1 1 2\r\n')],
      ['with one that announces more than any', proxyHeader({ rest: Buffer.alloc(600) })],
      ['with half a header, in time', proxyHeader().subarray(0, 20)],
    ])('closes their connection %s', async (_what, bytes) => {
      const client = await throughBalancer(bytes)
      await client.closed()
      expect(client.packets).toEqual([])
    })

    it('believes no header of anybody else', async () => {
      const client = await throughBalancer(proxyHeader(), '127.0.2.6')
      await client.closed()
    })
  })

  describe('over TLS', () => {
    const connectAs = async (deviceId: string, name: string) => {
      const client = RawClient.over(await secure(await openSocket(mqttsPort), authority(name)))
      client.connect({
        clientId: deviceId,
        username: deviceId,
        password: Buffer.from(await broker.token(deviceId)),
      })
      expect((await client.next('connack')).returnCode).toBe(0)
      return client
    }

    it('waits so long for a handshake, and so long for a CONNECT after it', async () => {
      const startMs = performance.now()
      const silent = RawClient.over(await openSocket(mqttsPort))
      await silent.closed()
      expect(performance.now() - startMs).toBeLessThan(connectMs)
      const shaken = RawClient.over(await secure(await openSocket(mqttsPort), authority('first')))
      await shaken.closed()
    })

    it('offers a new certificate after SIGHUP, and leaves connections that stand where they are', async () => {
      const older = await connectAs('before', 'first')
      await install('second')
      broker.program.process.kill('SIGHUP')
      await eventually(() => broker.events('tls.reloaded').length === 1)
      const newer = await connectAs('after', 'second')
      older.send({ cmd: 'pingreq' })
      await older.next('pingresp')
      const health = await new Promise<number | undefined>((resolve, reject) => {
        const request = { port: Number(new URL(broker.url).port), host: '127.0.0.1', ca: authority('second') }
        void import('node:https').then(({ get }) =>
          get({ ...request, path: '/livez' }, (response) => {
            response.resume()
            resolve(response.statusCode)
          }).once('error', reject),
        )
      })
      expect(health).toBe(200)
      for (const client of [older, newer]) client.close()
    })

    it('keeps the one it has when the new one is none, and says so', async () => {
      writeFileSync(certFile, 'not a certificate')
      broker.program.process.kill('SIGHUP')
      await eventually(() => broker.events('tls.reload_failed').length > 0)
      const client = await connectAs('meanwhile', 'second')
      client.close()
    })

    it('takes a new one by itself when the files have changed', async () => {
      await install('third')
      await eventually(() => broker.events('tls.reloaded').length === 2)
      const client = await connectAs('later', 'third')
      client.close()
    })
  })

  it('names each peer that is none when it starts', async () => {
    const failure = await startBroker({
      issuer: broker.issuer,
      env: { LOTWATCH_BROKER_PROXY_PEERS: '10.0.0.0/33, nobody' },
    }).catch(String)
    expect(failure).toContain('ended with 78')
    expect(failure).toContain('"10.0.0.0/33"')
    expect(failure).toContain('"nobody"')
  })

  it('leaves no token in the log', () => {
    expect(broker.program.lines.length).toBeGreaterThan(50)
    for (const line of broker.program.lines) expect(line).not.toContain('eyJ')
  })
})
