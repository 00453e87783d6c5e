/** The real broker beside an issuer that is the test's own: what attacks need, and nothing around it. */
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { audiences } from '../../core/contract/principal.ts'
import { type Issuer, startIssuer } from './issuer.ts'
import { RawClient } from './mqtt.ts'
import { eventually, freePort, makeDataDir, type Program, startProgram } from './program.ts'

export interface BrokerUnderTest {
  readonly issuer: Issuer
  readonly program: Program
  readonly port: number
  readonly url: string
  /** A good token of a device. */
  token(deviceId: string, claims?: object): Promise<string>
  /** Opens a socket, from one of the addresses of loopback. */
  open(localAddress?: string): Promise<RawClient>
  /** Sends a CONNECT of the device. */
  connect(
    deviceId: string,
    options?: { token?: string; from?: string; packet?: Parameters<typeof RawClient.connect>[1] },
  ): Promise<RawClient>
  /** The return code of such a CONNECT; undefined when the socket was closed without one. */
  answerTo(...args: Parameters<BrokerUnderTest['connect']>): Promise<number | undefined>
  /** The log's lines of an event, oldest first. */
  events(name: string): Record<string, unknown>[]
  stop(): Promise<void>
}

export async function startBroker(
  options: {
    env?: Record<string, string>
    issuer?: Issuer
    ingestUrl?: string
    nodeOptions?: readonly string[]
    /** Another bundle than the broker’s own. */
    bundle?: string
  } = {},
): Promise<BrokerUnderTest> {
  const issuer = options.issuer ?? (await startIssuer())
  const folder = makeDataDir()
  const credentialFile = join(folder.path, 'broker.json')
  writeFileSync(credentialFile, JSON.stringify(issuer.credential('broker')), { mode: 0o600 })
  const port = await freePort()
  const program = await startProgram(options.bundle ?? 'broker', {
    nodeOptions: options.nodeOptions ?? [],
    env: {
      LOTWATCH_BROKER_PORT: '0',
      LOTWATCH_BROKER_MQTT_PORT: String(port),
      LOTWATCH_BROKER_ISSUER_URL: issuer.url,
      LOTWATCH_BROKER_PROVISIONING_URL: issuer.url,
      LOTWATCH_BROKER_INGEST_URL: options.ingestUrl ?? 'http://127.0.0.1:9',
      LOTWATCH_BROKER_CREDENTIAL_FILE: credentialFile,
      ...options.env,
    },
  })
  await eventually(() => program.lines.some((line) => line.includes('feed.connected')))

  const token = (deviceId: string, claims: object = {}) =>
    issuer.token(audiences.broker, 'publish:readings receive:commands', {
      sub: deviceId,
      client_id: deviceId,
      device_id: deviceId,
      cred: `cred_${deviceId}`,
      ...claims,
    })
  const open = async (localAddress?: string) => RawClient.over(await openSocket(port, localAddress))
  const connectAs: BrokerUnderTest['connect'] = async (deviceId, { token: given, from, packet } = {}) => {
    const password = Buffer.from(given ?? (await token(deviceId)))
    const client = await open(from)
    client.connect({ clientId: deviceId, username: deviceId, password, ...packet })
    return client
  }
  return {
    issuer,
    program,
    port,
    url: `http://127.0.0.1:${program.ready.httpPort}`,
    token,
    open,
    connect: connectAs,
    async answerTo(...args) {
      const client = await connectAs(...args)
      try {
        await eventually(() => client.isClosed || client.packets.length > 0)
        const [answer] = client.packets
        return answer?.cmd === 'connack' ? answer.returnCode : undefined
      } finally {
        client.close()
      }
    },
    events: (name) =>
      program.lines
        .filter((line) => line.includes(`"${name}"`))
        .map((line) => JSON.parse(line) as Record<string, unknown>),
    async stop() {
      await program.stop()
      if (options.issuer === undefined) await issuer.stop()
      folder.remove()
    },
  }
}

/** Resolves when it is connected. */
export function openSocket(port: number, localAddress?: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      ...(localAddress === undefined ? {} : { localAddress }),
    })
    socket.once('connect', () => resolve(socket)).once('error', reject)
  })
}
