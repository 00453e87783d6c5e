import { expect, it } from 'vitest'
import { Turns } from '../../../broker/turns.ts'

it('gives so many turns at a time, in the order in which they were asked for', async () => {
  const turns = new Turns(2)
  const order: string[] = []
  const ask = async (name: string) => {
    const end = await turns.take()
    order.push(name)
    return end
  }
  const [first, second] = await Promise.all([ask('a'), ask('b')])
  const third = ask('c')
  const fourth = ask('d')
  await Promise.resolve()
  expect(order).toEqual(['a', 'b'])
  first()
  const endThird = await third
  expect(order).toEqual(['a', 'b', 'c'])
  second()
  endThird()
  ;(await fourth)()
  expect(order).toEqual(['a', 'b', 'c', 'd'])
  await Promise.all([ask('e'), ask('f')])
  expect(order).toHaveLength(6)
})
