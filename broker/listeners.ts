/** The sockets devices connect to: plain MQTT on loopback, MQTT over TLS anywhere. */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { listenFault, readTls, type TlsFiles } from '../core/runtime/http.ts'

export interface Listener {
  readonly port: number
  /** Stops accepting; open connections are the engine's. */
  close(): void
}

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly portSetting: string
  readonly connectionsMax: number
  readonly accept: (socket: Socket) => void
}

const handshakeMs = 10_000

/** @throws FleetError `port.taken`, `config.invalid` */
export async function listenMqtt(options: ListenerOptions, tls?: TlsFiles): Promise<Listener> {
  const welcome = (socket: Socket) => {
    // Small packets both ways, and PUBACKs are grouped by us.
    socket.setNoDelay(true)
    options.accept(socket)
  }
  const server: Server =
    tls === undefined
      ? createServer(welcome)
      : createTlsServer({ ...readTls(tls), handshakeTimeout: handshakeMs }, welcome).on(
          'tlsClientError',
          () => undefined,
        ) // a stranger's failed handshake is no event of ours
  server.maxConnections = options.connectionsMax
  server.listen({ host: options.host, port: options.port, backlog: 4096 })
  try {
    await once(server, 'listening')
  } catch (error) {
    throw listenFault(error, options)
  }
  const address = server.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : options.port,
    close: () => void server.close(),
  }
}
