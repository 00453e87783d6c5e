import { expect, it } from 'vitest'
import { ConnectionDecisions } from '../../../broker/decisions.ts'

const at = (atMs: number) => ({ atMs, outcome: 'admitted' as const, remoteAddress: '127.0.0.1' })

it('the last decisions about a device are there, newest first, and no more than ten', () => {
  const decisions = new ConnectionDecisions()
  for (let atMs = 0; atMs < 25; atMs++) decisions.note('gate-1', at(atMs))
  expect(decisions.of('gate-1').map(({ atMs }) => atMs)).toEqual([24, 23, 22, 21, 20, 19, 18, 17, 16, 15])
  expect(decisions.of('gate-2')).toEqual([])
})

it('strangers who make up names push out each other, and not who was heard of since', () => {
  const decisions = new ConnectionDecisions()
  decisions.note('gate-1', at(0))
  for (let i = 0; i < 9_999; i++) decisions.note(`stranger-${i}`, at(1))
  decisions.note('gate-1', at(2))
  for (let i = 0; i < 9_999; i++) decisions.note(`other-${i}`, at(3))
  expect(decisions.of('gate-1')).toHaveLength(2)
  expect(decisions.of('stranger-9998')).toEqual([])
})
