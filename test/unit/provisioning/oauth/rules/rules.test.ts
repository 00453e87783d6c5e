import { randomUUID } from 'node:crypto'
import { copyFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { eventually } from '../../../../kit/program.ts'
import { openRulesKit, type RulesKit, requestBy, threadFile } from '../../../../kit/rules.ts'

let kit: RulesKit
afterEach(() => kit.close())

const letsBy = `function (u, c, done) { done(null, u, c) }`
const denying = (words: string) => `function (u, c, done) { done(new UnauthorizedError('${words}')) }`
const ask = (id = 'gate-1') => kit.rules.ask(requestBy(id))

describe('a token request', () => {
  it('is told of a denial in the words of the rule, and counted', async () => {
    kit = await openRulesKit({ 'a.js': letsBy, 'b.js': denying('not you') })
    expect(await ask()).toEqual({
      allowed: false,
      error: 'access_denied',
      rule: 'b.js',
      reason: expect.stringContaining('not you'),
      told: 'not you',
    })
    expect(kit.rules.list().map(({ runs, denials, failures }) => [runs, denials, failures])).toEqual([
      [1, 0, 0],
      [1, 1, 0],
    ])
  })

  it('is not told why a rule failed; the log is', async () => {
    kit = await openRulesKit({ 'a.js': `function () { throw new Error('db password is wrong') }` })
    expect(await ask()).toMatchObject({
      allowed: false,
      error: 'server_error',
      reason: expect.stringContaining('db password'),
      told: 'a rule could not be asked',
    })
    expect(kit.lines).toContainEqual(expect.objectContaining({ event: 'rule.failed', rule: 'a.js' }))
  })
})

describe('the folder', () => {
  it('without rules lets everybody by', async () => {
    kit = await openRulesKit({ 'README.md': 'put rules here' })
    expect(await ask()).toEqual({ allowed: true, scopes: ['read', 'write'], claims: {}, rules: [] })
    expect(kit.rules.list()).toEqual([])
  })

  it('is read again when a rule comes, changes and goes', async () => {
    kit = await openRulesKit({})
    kit.write('a.js', denying('one'))
    await eventually(async () => (await ask()).allowed === false)
    kit.write('a.js', denying('two'))
    await eventually(async () => {
      const verdict = await ask()
      return !verdict.allowed && verdict.told === 'two'
    })
    rmSync(join(kit.folder, 'a.js'))
    await eventually(async () => (await ask()).allowed)
  })

  it.each([
    ['that is no JavaScript', `function (user, context, callback { callback() }`, /SyntaxError/],
    [
      'that throws while it is read',
      `exports.onExecuteCredentialsExchange = nothing.there`,
      /ReferenceError/,
    ],
    ['that is too long', `// ${'x'.repeat(100_001)}`, /100000 bytes/],
  ])('with a file %s denies everybody, and says so', async (_, source, fault) => {
    kit = await openRulesKit({ 'broken.js': source, 'fine.js': letsBy }, { timeMs: 200 })
    expect(await ask()).toMatchObject({
      allowed: false,
      error: 'server_error',
      rule: 'broken.js',
      reason: expect.stringMatching(fault),
      told: 'a rule could not be asked',
    })
    expect(kit.lines).toContainEqual(
      expect.objectContaining({ event: 'rule.broken', level: 'warn', fault: expect.stringMatching(fault) }),
    )
    expect(kit.rules.list().map(({ name, state }) => [name, state])).toEqual([
      ['broken.js', 'broken'],
      ['fine.js', 'active'],
    ])
    kit.write('broken.js', letsBy)
    await eventually(async () => (await ask()).allowed)
  })

  it('whose rules have no sandbox denies everybody until there is one', async () => {
    const later = join(tmpdir(), `lotwatch-${randomUUID()}.mjs`)
    kit = await openRulesKit({}, { thread: { file: pathToFileURL(later) } })
    kit.write('a.js', letsBy)
    await eventually(async () => {
      const verdict = await ask()
      return !verdict.allowed && verdict.reason === 'it is broken: no sandbox can be started'
    })
    copyFileSync(threadFile, later)
    await eventually(async () => (await ask()).allowed)
    rmSync(later)
  })

  it('that goes away while it is watched leaves its rules in force', async () => {
    kit = await openRulesKit({
      'a.js': denying('still here'),
    })
    rmSync(kit.folder, { recursive: true })
    await eventually(() => kit.lines.some(({ event }) => event === 'rules.unreadable'))
    expect(await ask()).toMatchObject({ allowed: false, told: 'still here' })
  })
})

describe('what a rule would do', () => {
  it('is tried alone, with its console, and changes nothing of those in force', async () => {
    kit = await openRulesKit({ 'a.js': denying('in force') })
    const source = `function (u, c, done) { console.log('asked by', c.clientID, { a: 1 });
      c.accessToken.scope = ['read', 'admin']; done(null, u, c) }`

    const answer = await kit.rules.trial({ name: 'tried.js', shape: 'rule', source }, requestBy('gate-1'))

    expect(answer).toMatchObject({
      scopes: ['read'],
      ran: ['tried.js'],
      trace: { console: ['asked by gate-1 {"a":1}'], beyond: ['admin'] },
    })
    expect(kit.rules.list().map(({ runs }) => runs)).toEqual([0])
  })
})
