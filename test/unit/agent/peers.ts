/** The peers of an agent, small and real: an Aedes broker on a socket that answers as it is told, and a token endpoint. */
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { Aedes } from 'aedes'

export interface Published {
  readonly topic: string
  readonly payload: string
}

export interface TestBroker {
  readonly url: string
  readonly port: number
  /** The passwords of CONNECTs so far. */
  readonly passwords: string[]
  /** Messages that arrived, acknowledged or not. */
  readonly published: Published[]
  /** Filters that were subscribed to so far, granted or not. */
  readonly subscribed: string[]
  /** Whether subscriptions are granted. */
  grants: boolean
  /** Sends a message to whoever subscribed to its topic. */
  say(topic: string, payload: string): void
  /** CONNACK return code of the next CONNECTs; 0 welcomes. */
  connack: number
  /** Whether PUBACK is given. */
  acknowledges: boolean
  /** The most messages that were without PUBACK at one time. */
  readonly heldMost: number
  /** Gives the PUBACKs that are held, newest first when asked. */
  release(order?: 'newest first'): void
  /** Destroys every connection. */
  cut(): void
  readonly connections: number
  stop(): Promise<void>
}

/** @param options.tls certificate and key, PEM: speaks TLS only */
export async function startTestBroker(
  options: { port?: number; tls?: { cert: string; key: string } } = {},
): Promise<TestBroker> {
  const sockets = new Set<Socket>()
  const held: (() => void)[] = []
  let heldMost = 0
  const broker = await Aedes.createBroker({
    authenticate(_client, _user, password, done) {
      test.passwords.push(String(password))
      if (test.connack === 0) return done(null, true)
      done(Object.assign(new Error('refused'), { returnCode: test.connack }), false)
    },
    authorizeSubscribe(_client, subscription, done) {
      test.subscribed.push(subscription.topic)
      done(null, test.grants ? subscription : null)
    },
    authorizePublish(_client, packet, done) {
      test.published.push({ topic: packet.topic, payload: String(packet.payload) })
      if (test.acknowledges) return done(null)
      held.push(() => done(null))
      heldMost = Math.max(heldMost, held.length)
    },
  })
  broker.on('clientError', () => undefined) // connections are cut on purpose
  const accept = (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket)).on('error', () => undefined)
    broker.handle(socket)
  }
  const server = options.tls === undefined ? createTcpServer(accept) : createTlsServer(options.tls, accept)
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const bound = (server.address() as AddressInfo).port
  const test: TestBroker = {
    url: `${options.tls === undefined ? 'mqtt' : 'mqtts'}://127.0.0.1:${bound}`,
    port: bound,
    passwords: [],
    published: [],
    subscribed: [],
    grants: true,
    say: (topic, payload) =>
      broker.publish({ cmd: 'publish', topic, payload, qos: 1, retain: false, dup: false }, () => undefined),
    connack: 0,
    acknowledges: true,
    get heldMost() {
      return heldMost
    },
    release(order) {
      const due = held.splice(0)
      for (const done of order === 'newest first' ? due.reverse() : due) done()
    },
    cut() {
      for (const socket of sockets) socket.destroy()
    },
    get connections() {
      return sockets.size
    },
    async stop() {
      test.cut()
      server.close()
      await new Promise<void>((resolve) => broker.close(() => resolve()))
    },
  }
  return test
}

export interface TestIssuer {
  readonly tokenEndpoint: string
  /** How many tokens were given. */
  readonly given: number
  /** HTTP status of the next answers. */
  status: number
  stop(): void
}

/** Tokens `token-1`, `token-2`, … that live for `expiresInSec`. */
export async function startTestIssuer(expiresInSec = 3600): Promise<TestIssuer> {
  let given = 0
  const server = createServer((request: IncomingMessage, response) => {
    request.resume().on('end', () => {
      const isGood = test.status === 200
      if (isGood) given++
      response.writeHead(test.status, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify(
          isGood ? { access_token: `token-${given}`, expires_in: expiresInSec } : { error: 'invalid_client' },
        ),
      )
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const test: TestIssuer = {
    tokenEndpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/oauth/token`,
    get given() {
      return given
    },
    status: 200,
    stop() {
      server.close()
      server.closeAllConnections()
    },
  }
  return test
}

/** Writes a device's credential file for these peers. */
export function writeCredential(
  path: string,
  options: { deviceId: string; brokerUrl: string; tokenEndpoint: string; renewal?: 'in_band' | 'reconnect' },
): string {
  const credential = {
    v: 1,
    issuer: new URL(options.tokenEndpoint).origin,
    token_endpoint: options.tokenEndpoint,
    client_id: options.deviceId,
    client_secret: 'a-secret-of-the-test',
    token_endpoint_auth_method: 'client_secret_basic',
    deviceId: options.deviceId,
    broker: {
      url: options.brokerUrl,
      audience: 'urn:lotwatch:broker',
      renewal: options.renewal ?? 'in_band',
    },
  }
  writeFileSync(path, JSON.stringify(credential), { mode: 0o600 })
  chmodSync(path, 0o600)
  return path
}
