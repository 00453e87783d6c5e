/** `lot-agent sensor test`: whoever mounts a gate drives over it and sees what it counts as. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Gpiod, installGpiod } from '../kit/gpiod.ts'
import { eventually, makeDataDir, type Program, startProgram } from '../kit/program.ts'

let data: ReturnType<typeof makeDataDir>
let gpiod: Gpiod
let program: Program | undefined

beforeEach(() => {
  data = makeDataDir()
  gpiod = installGpiod(data.path, '2.2.1')
})
afterEach(async () => {
  await program?.kill()
  data.remove()
})

it('lot-agent sensor test shows each edge as it comes with what it counted as, and keeps nothing', async () => {
  const gate = { name: 'gate-a', type: 'gpio', chip: 'pinctrl-test', entry: 17, exit: 27 }
  program = await startProgram('agent', {
    args: ['sensor', 'test'],
    env: {
      PATH: `${gpiod.bin}:${process.env.PATH}`,
      LOT_AGENT_SENSORS: JSON.stringify([gate]),
      LOT_AGENT_SENSOR_START_COUNT: '10',
      LOT_AGENT_OUTBOX_DIR: join(data.path, 'outbox'),
    },
  })
  const { lines } = program
  const shown = () =>
    lines
      .filter((line) => !line.includes('"event"'))
      .map((line) => JSON.parse(line) as Record<string, unknown>)
  const edges = () => shown().flatMap(({ edge }) => (edge === undefined ? [] : [edge]))
  await eventually(() => gpiod.isAsked)
  gpiod.play('1 17 5.000000000\n')
  await eventually(() => edges().length === 1)
  gpiod.play('2 17 6.000000000\n1 27 8.000000000\n')
  await eventually(() => edges().length === 3)
  expect(edges()).toMatchObject([
    { name: 'gate-a', line: 17, counted: 'entry' },
    { name: 'gate-a', line: 17 },
    { name: 'gate-a', line: 27, counted: 'exit' },
  ])
  await eventually(() =>
    shown().some(({ entriesTotal, exitsTotal }) => entriesTotal === 1 && exitsTotal === 1),
  )
  expect(shown().at(-1)).toMatchObject({ occupied: 10, sensor: 'ok' })
  expect(existsSync(join(data.path, 'outbox'))).toBe(false)
  expect(await program.stop()).toBe(0)
}, 60_000)
