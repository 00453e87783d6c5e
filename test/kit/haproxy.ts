/** Debian's HAProxy before several brokers, as docs/operations.md says to set it up. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openSocket } from './broker.ts'
import { findCommand } from './needs.ts'
import { eventually } from './program.ts'

export interface LoadBalancer {
  stop(): Promise<void>
}

/** Passes TCP from `port` on to the brokers in turn, and says whose connection it is. */
export async function startHaproxy(
  folder: string,
  port: number,
  brokerPorts: readonly number[],
): Promise<LoadBalancer> {
  const command = findCommand('haproxy')
  if (command === undefined) throw new Error('needs haproxy')
  const file = join(folder, 'haproxy.cfg')
  const servers = brokerPorts.map(
    (broker) => `  server broker-${broker} 127.0.0.1:${broker} send-proxy-v2 check inter 200ms fall 1 rise 1`,
  )
  writeFileSync(
    file,
    `listen mqtt
  mode tcp
  bind 127.0.0.1:${port}
  balance roundrobin
  option redispatch
  timeout connect 2s
  timeout client 3m
  timeout server 3m
${servers.join('\n')}
`,
  )
  const child = spawn(command, ['-db', '-f', file], { stdio: 'ignore' })
  const gone = once(child, 'exit')
  await eventually(async () => {
    const socket = await openSocket(port)
    socket.destroy()
    return true
  })
  return {
    async stop() {
      child.kill('SIGTERM')
      await gone
    },
  }
}
