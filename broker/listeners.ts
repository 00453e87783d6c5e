/**
 * The sockets devices connect to: plain MQTT on loopback, MQTT over TLS anywhere. From the accepted socket to one the
 * engine can read: whose it is (PROXY protocol of a load balancer we know), the TLS handshake, and room for it.
 */
import { once } from 'node:events'
import { BlockList, createServer, isIP, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import { FleetError } from '../core/contract/errors.ts'
import { listenFault, readTls, type TlsFiles } from '../core/runtime/http.ts'
import type { Arrival } from './engine/engine.ts'
import type { Pending } from './pending.ts'
import { parseProxyHeader } from './proxy-protocol.ts'

export interface Listener {
  readonly port: number
  /** For connections from now on. */
  setCertificate(tls: ReturnType<typeof readTls>): void
  /** Stops accepting; open connections are the engine's. */
  close(): void
}

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly portSetting: string
  readonly connectionsMax: number
  /** For the PROXY header to arrive, and for the TLS handshake. */
  readonly handshakeTimeoutMs: number
  /** Who must say whose connection it passes on; nobody else may. */
  readonly proxyPeers: BlockList
  readonly pending: Pending<Socket>
  /** A socket was closed before the engine got it. */
  readonly turnedAway: (remoteAddress: string, code: 'request.too_many' | 'connect.refused') => void
  /** Monotonic milliseconds. */
  readonly nowMs: () => number
  readonly accept: (socket: Socket, arrival: Arrival) => void
}

/** @throws FleetError `port.taken`, `config.invalid` */
export async function listenMqtt(options: ListenerOptions, tls?: TlsFiles): Promise<Listener> {
  const handshakes = tls === undefined ? undefined : createHandshakes(options, tls)
  const welcome = (socket: Socket, remoteAddress: string) => {
    const outgoing = options.pending.enter(socket, remoteAddress, options.nowMs())
    outgoing?.destroy()
    if (outgoing === socket) return options.turnedAway(remoteAddress, 'request.too_many')
    const leave = () => options.pending.leave(socket)
    socket.once('close', leave)
    const arrival = { remoteAddress, heard: leave }
    if (handshakes === undefined) options.accept(socket, arrival)
    else handshakes.begin(socket, arrival)
  }
  const server: Server = createServer((socket) => {
    // Small packets both ways, and PUBACKs are grouped by us.
    socket.setNoDelay(true)
    socket.on('error', () => undefined) // 'close' follows, and is what counts
    const peer = socket.remoteAddress
    if (peer === undefined) socket.destroy()
    else if (!isListed(options.proxyPeers, peer)) welcome(socket, peer)
    else {
      readProxyHeader(socket, options.handshakeTimeoutMs, (source) => {
        if (source !== undefined) return welcome(socket, source.address ?? peer)
        options.turnedAway(peer, 'connect.refused')
        socket.destroy()
      })
    }
  })
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
    setCertificate: (certificate) => handshakes?.server.setSecureContext(certificate),
    close: () => void server.close(),
  }
}

/** TLS handshakes on sockets that are there already: whose they are has been read from them in plaintext. */
function createHandshakes(
  options: ListenerOptions,
  tls: TlsFiles,
): { server: TlsServer; begin(socket: Socket, arrival: Arrival): void } {
  const arrivals = new Map<string, Arrival>()
  const server = createTlsServer(
    { ...readTls(tls), handshakeTimeout: options.handshakeTimeoutMs },
    (secure) => {
      const key = endsOf(secure)
      const arrival = arrivals.get(key)
      arrivals.delete(key)
      if (arrival === undefined) secure.destroy()
      else options.accept(secure, arrival)
    },
  )
  server.on('tlsClientError', (_error, secure) => secure.destroy()) // a stranger's failed handshake is no event of ours
  return {
    server,
    begin(socket, arrival) {
      const key = endsOf(socket)
      arrivals.set(key, arrival)
      socket.once('close', () => {
        if (arrivals.get(key) === arrival) arrivals.delete(key)
      })
      server.emit('connection', socket)
    },
  }
}

/** What tells an open connection from every other: both its ends. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

/**
 * Reads the header, and leaves what follows it in the socket. Calls back once; with undefined when there is no good
 * header in time, without an address when the load balancer speaks for itself.
 */
function readProxyHeader(
  socket: Socket,
  timeoutMs: number,
  done: (source: { address?: string } | undefined) => void,
): void {
  let seen: Buffer = Buffer.alloc(0)
  const finish = (source: { address?: string } | undefined) => {
    clearTimeout(timer)
    socket.off('readable', read)
    socket.off('close', gone)
    done(source)
  }
  const gone = () => finish(undefined)
  const timer = setTimeout(gone, timeoutMs)
  const read = () => {
    const chunk: Buffer | null = socket.read()
    if (chunk === null) return
    seen = seen.length === 0 ? chunk : Buffer.concat([seen, chunk])
    const header = parseProxyHeader(seen)
    if (header.kind === 'incomplete') return
    if (header.kind === 'invalid') return finish(undefined)
    if (seen.length > header.bytes) socket.unshift(seen.subarray(header.bytes))
    finish(header.source === undefined ? {} : { address: header.source })
  }
  socket.on('readable', read)
  socket.once('close', gone)
}

function isListed(peers: BlockList, address: string): boolean {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '')
  return peers.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4')
}

/** @throws FleetError `config.invalid` for what is neither an address nor a network in CIDR notation */
export function parsePeers(entries: readonly string[], setting: string): BlockList {
  const peers = new BlockList()
  const faults: string[] = []
  for (const entry of entries) {
    const [address = '', length] = entry.split('/')
    const version = isIP(address)
    const bits = length === undefined ? (version === 6 ? 128 : 32) : Number(length)
    const isNetwork = length === undefined || /^\d{1,3}$/.test(length)
    if (version === 0 || !isNetwork || bits > (version === 6 ? 128 : 32))
      faults.push(
        `${setting}: ${JSON.stringify(entry)} is neither an address nor a network such as 10.0.0.0/8`,
      )
    else peers.addSubnet(address, bits, version === 6 ? 'ipv6' : 'ipv4')
  }
  if (faults.length > 0) throw new FleetError('config.invalid', 'settings are wrong', { faults })
  return peers
}
