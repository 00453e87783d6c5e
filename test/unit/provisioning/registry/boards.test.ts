import { afterEach, beforeEach, expect, it } from 'vitest'
import { openRegistry, operator, type RegistryKit } from '../kit.ts'

let kit: RegistryKit
beforeEach(async () => {
  kit = await openRegistry()
  await kit.registry.devices.register(operator, { deviceId: 'gate' })
})
afterEach(() => kit.close())

const serialOf = async () => (await kit.repository.findDevice('gate'))?.board?.serial
const show = (serial: string) => kit.registry.boards.seen('gate', { serial, bootId: 'b' })

it('a device that shows another board each time is written down now and then only', async () => {
  for (let i = 0; i < 50; i++) await show(`s${i}`)
  expect(await serialOf()).toBe('s9')

  kit.clock.nowMs += 60_000
  await show('later')
  await show('too soon')

  expect(await serialOf()).toBe('later')
})

it('a device whose board was seen long ago may say as much as any', async () => {
  for (let i = 0; i < 10; i++) await show(`s${i}`)
  kit.clock.nowMs += 3600_000

  for (let i = 0; i < 10; i++) await show(`t${i}`)

  expect(await serialOf()).toBe('t9')
})

it('who shows another board, or the same one started anew, leaves what was known and what is', async () => {
  const before = { serial: 's1', bootId: 'b1' }
  const after = { serial: 's1', bootId: 'b2' }
  await kit.registry.boards.seen('gate', before)
  await kit.registry.boards.seen('gate', after)
  await kit.registry.boards.seen('gate', after)

  const entries = await kit.repository.auditEntries({ limit: 10, subject: 'gate' })

  expect(entries.filter(({ verb }) => verb === 'device.board_changed')).toMatchObject([
    { actor: 'gate', before, after },
    { actor: 'gate', after: before },
  ])
})
