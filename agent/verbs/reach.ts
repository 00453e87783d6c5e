/** Whether somebody answers at an address, without saying anything to them. */
import { connect } from 'node:net'

const waitMs = 5000

/** @returns why nobody does; undefined when somebody does */
export function reachable(url: string): Promise<string | undefined> {
  const { protocol, hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const end = (fault: string | undefined) => {
      socket.destroy()
      resolve(fault)
    }
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || (protocol === 'mqtts:' ? 8883 : 1883)),
    })
    socket.setTimeout(waitMs, () => end('no answer'))
    socket.once('connect', () => end(undefined))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code?.toLowerCase() ?? error.message))
  })
}
