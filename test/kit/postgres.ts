/** Debian's real PostgreSQL: a cluster of the test's own, in a folder of its own, as a user who is not root. */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Client } from 'pg'
import { findCommand } from './needs.ts'
import { eventually, freePort, makeDataDir } from './program.ts'

export interface Postgres {
  /** The URL of a new, empty database. */
  createDatabase(): Promise<string>
  /** Ends every connection, as a restart of the server does. */
  cutConnections(): Promise<void>
  stop(): Promise<void>
}

/** PostgreSQL refuses to run as root; this user is on every Unix. */
const nobody = { uid: 65534, gid: 65534 }

export async function startPostgres(): Promise<Postgres> {
  const bin = dirname(findCommand('initdb') ?? '')
  const folder = makeDataDir()
  const asUser = process.getuid?.() === 0 ? nobody : {}
  if ('uid' in asUser) {
    chmodSync(folder.path, 0o755)
    chownSync(folder.path, nobody.uid, nobody.gid)
  }
  const data = join(folder.path, 'cluster')
  const quiet = { ...asUser, cwd: '/', stdio: 'ignore' } as const
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'lotwatch', '-A', 'trust', '-E', 'UTF8', '--no-sync'],
    quiet,
  )
  const port = await freePort()
  const settings = ['listen_addresses=127.0.0.1', `port=${port}`, `unix_socket_directories=${folder.path}`]
  const server = spawn(join(bin, 'postgres'), ['-D', data, ...settings.flatMap((one) => ['-c', one])], quiet)
  const urlOf = (database: string) => `postgres://lotwatch@127.0.0.1:${port}/${database}`

  async function ask(sql: string): Promise<void> {
    const client = new Client(urlOf('postgres'))
    await client.connect()
    try {
      await client.query(sql)
    } finally {
      await client.end()
    }
  }
  await eventually(async () => {
    await ask('SELECT 1')
    return true
  })
  let databases = 0
  return {
    async createDatabase() {
      const name = `test_${databases++}`
      await ask(`CREATE DATABASE ${name}`)
      return urlOf(name)
    },
    cutConnections: () =>
      ask(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL',
      ),
    async stop() {
      server.kill('SIGQUIT')
      await once(server, 'exit')
      folder.remove()
    },
  }
}
