/** `npm run build:agent`: what a device gets, as it gets it. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildAgent } from '../../scripts/build-agent.mjs'
import { expectToSurviveAKill } from '../kit/agent-archive.ts'
import { unpackAgent } from '../kit/agent-unpacked.ts'
import { makeDataDir } from '../kit/program.ts'

const bytesMax = 5_000_000

describe("the agent's archive", () => {
  let unpacked: ReturnType<typeof makeDataDir>
  let data: ReturnType<typeof makeDataDir>
  let archive: string
  let program: string

  beforeAll(async () => {
    unpacked = makeDataDir()
    data = makeDataDir()
    ;({ archive, program } = await unpackAgent(unpacked.path))
  })
  afterAll(() => {
    unpacked.remove()
    data.remove()
  })

  it('is small, and has nothing to compile or to install', () => {
    const files = execFileSync('tar', ['-tzf', archive], { encoding: 'utf8' }).trim().split('\n')

    expect(statSync(archive).size).toBeLessThan(bytesMax)
    expect(files.filter((file) => /package\.json$|\.gyp$|\.cc$|\.sh$/.test(file))).toEqual([])
    for (const machine of ['linux-arm', 'linux-arm64', 'linux-x64'])
      expect(files.some((file) => file.includes(`/prebuilds/${machine}/`) && file.endsWith('.node'))).toBe(
        true,
      )
  })

  it('is made of the same bytes each time', async () => {
    const hash = () => createHash('sha256').update(readFileSync(archive)).digest('hex')
    const before = hash()

    expect(await buildAgent()).toBe(archive)
    expect(hash()).toBe(before)
  })

  it('runs from an empty folder, and keeps its readings through a kill', async () => {
    await expectToSurviveAKill({ program, folder: data.path, deadlineMs: 15_000 })
  })
})
