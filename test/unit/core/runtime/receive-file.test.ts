import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { receiveFile } from '../../../../core/runtime/receive-file.ts'
import { makeDataDir } from '../../../kit/program.ts'

let data: ReturnType<typeof makeDataDir>
beforeEach(() => {
  data = makeDataDir()
})
afterEach(() => data.remove())
const path = () => join(data.path, 'file')

async function* pieces(...texts: string[]) {
  for (const text of texts) yield Buffer.from(text)
}

async function* brokenAfter(text: string) {
  yield* pieces(text)
  throw new Error('broke off')
}

test('begins anew, or goes on', async () => {
  writeFileSync(path(), 'old')
  await receiveFile(path(), pieces('one ', 'two '), { appends: false })
  await receiveFile(path(), pieces('three'), { appends: true })
  expect(readFileSync(path(), 'utf8')).toBe('one two three')
})

test('keeps what came before it broke off', async () => {
  await expect(receiveFile(path(), brokenAfter('half'), { appends: false })).rejects.toThrow('broke off')
  expect(readFileSync(path(), 'utf8')).toBe('half')
})
