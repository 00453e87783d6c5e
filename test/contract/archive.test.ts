/** What every archive has to do. Runs over each adapter. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createTokenSource } from '../../core/auth/token-source.ts'
import { createFetch } from '../../core/runtime/fetch.ts'
import { sumOf } from '../../core/runtime/file-sum.ts'
import type { Archive } from '../../ingest/archive/archive.ts'
import { createFolderArchive } from '../../ingest/archive/folder.ts'
import { createHttpsArchive } from '../../ingest/archive/https.ts'
import { createS3Archive } from '../../ingest/archive/s3.ts'
import { type RemoteFiles, s3Keys, startBucket, startEndpoint } from '../kit/archives.ts'
import { startIssuer } from '../kit/issuer.ts'
import { makeDataDir } from '../kit/program.ts'

interface Place {
  readonly archive: Archive
  /** What is held, for a test to look at and to damage. */
  read(name: string): Buffer | undefined
  write(name: string, content: Buffer): void
  readonly remote?: RemoteFiles
  stop(): Promise<void>
}

const fetch = createFetch()
const timeoutMs = 5000

async function folderPlace(): Promise<Place> {
  const folder = makeDataDir()
  return {
    archive: createFolderArchive(folder.path),
    read: (name) => readFileSync(join(folder.path, name)),
    write: (name, content) => writeFileSync(join(folder.path, name), content),
    stop: async () => folder.remove(),
  }
}

async function bucketPlace(): Promise<Place> {
  const remote = await startBucket()
  return remotePlace(remote, createS3Archive({ url: remote.url, ...s3Keys, fetch, timeoutMs }))
}

async function endpointPlace(): Promise<Place> {
  const issuer = await startIssuer()
  const tokens: string[] = []
  const remote = await startEndpoint((token) => tokens.includes(token))
  const source = createTokenSource({
    credential: issuer.credential('ingest-archive'),
    audience: 'https://cold.example',
    fetch: async (url, init) => {
      const response = await fetch(url, init)
      const { access_token: token } = (await response.clone().json()) as { access_token: string }
      tokens.push(token)
      return response
    },
    nowMs: () => performance.now(),
    random: Math.random,
  })
  const place = remotePlace(remote, createHttpsArchive({ url: remote.url, tokens: source, fetch, timeoutMs }))
  return {
    ...place,
    async stop() {
      await place.stop()
      await issuer.stop()
    },
  }
}

function remotePlace(remote: RemoteFiles, archive: Archive): Place {
  return {
    archive,
    remote,
    read: (name) => remote.files.get(name),
    write: (name, content) => remote.files.set(name, content),
    stop: remote.stop,
  }
}

describe('an archive in a folder', () => archiveContract(folderPlace))
describe('an archive in a bucket', () => archiveContract(bucketPlace))
describe('an archive behind an endpoint', () => archiveContract(endpointPlace))

const name = '2026/2026-03-28.1.parquet'
/** More than one chunk of any reader. */
const content = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 251))

let folder: ReturnType<typeof makeDataDir>
let path: string
beforeAll(() => {
  folder = makeDataDir()
  path = join(folder.path, 'segment')
  writeFileSync(path, content)
})
afterAll(() => folder.remove())

async function bytesOf(archive: Archive, fromByte: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of archive.read(name, fromByte)) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function archiveContract(start: () => Promise<Place>): void {
  let place: Place
  beforeEach(async () => {
    place = await start()
  })
  afterEach(() => place.stop())

  test('holds nothing at first, then what was put there, byte for byte', async () => {
    const { archive } = place
    const sum = await sumOf(path)
    expect(await archive.holds(name, sum)).toBe(false)

    await archive.put(name, path, sum)

    expect(await archive.holds(name, sum)).toBe(true)
    expect(place.read(name)?.equals(content)).toBe(true)
    expect((await bytesOf(archive, 0)).equals(content)).toBe(true)
    expect((await bytesOf(archive, 290_001)).equals(content.subarray(290_001))).toBe(true)
  })

  test('does not hold a file of another content', async () => {
    const { archive } = place
    const sum = await sumOf(path)
    await archive.put(name, path, sum)

    expect(await archive.holds(name, { ...sum, sha256: '0'.repeat(64) })).toBe(false)
    expect(await archive.holds(name, { ...sum, bytes: sum.bytes - 1 })).toBe(false)
  })

  test('says so when it does not have a file', async () => {
    await expect(bytesOf(place.archive, 0)).rejects.toMatchObject({ code: 'archive.unavailable' })
  })
}

describe('an archive in a folder that', () => {
  test('has lost bytes does not hold the file', async () => {
    const place = await folderPlace()
    const sum = await sumOf(path)
    await place.archive.put(name, path, sum)
    const damaged = Buffer.from(content)
    damaged[200_000] = 0
    place.write(name, damaged)

    expect(await place.archive.holds(name, sum)).toBe(false)
    await place.stop()
  })

  test('is not there is never made, and leaves nothing half done under the name', async () => {
    const data = makeDataDir()
    const mount = join(data.path, 'mount')
    const archive = createFolderArchive(mount)
    await expect(archive.put(name, path, await sumOf(path))).rejects.toMatchObject({
      code: 'archive.unavailable',
    })
    expect(readdirSync(data.path)).toEqual([])

    mkdirSync(mount)
    await expect(archive.put(name, join(data.path, 'missing'), await sumOf(path))).rejects.toThrow()
    expect(readdirSync(join(mount, '2026')).filter((file) => file.endsWith('.parquet'))).toEqual([])
    rmSync(data.path, { recursive: true })
  })
})

describe.each([
  ['a bucket', bucketPlace],
  ['an endpoint', endpointPlace],
])('%s that', (_kind, start) => {
  let place: Place & { remote: RemoteFiles }
  beforeEach(async () => {
    place = (await start()) as typeof place // remote ones have it
  })
  afterEach(() => place.stop())

  test('is away for a while is tried again later, and one that refuses is for the operator', async () => {
    const sum = await sumOf(path)
    place.remote.faults.push(503)
    await expect(place.archive.put(name, path, sum)).rejects.toMatchObject({ code: 'archive.unavailable' })
    place.remote.faults.push(403)
    await expect(place.archive.put(name, path, sum)).rejects.toMatchObject({ code: 'archive.refused' })
    expect(place.remote.files.size).toBe(0)
  })

  test('breaks off says so', async () => {
    await place.archive.put(name, path, await sumOf(path))
    place.remote.faults.push({ cutAfter: 1000 })

    await expect(bytesOf(place.archive, 0)).rejects.toMatchObject({ code: 'archive.unavailable' })
  })

  test('is sent a damaged file refuses it', async () => {
    const wrong = { ...(await sumOf(path)), sha256: 'a'.repeat(64) }

    await expect(place.archive.put(name, path, wrong)).rejects.toMatchObject({ code: 'archive.refused' })
    expect(place.remote.files.size).toBe(0)
  })
})

test('a bucket lets nobody in with another secret', async () => {
  const remote = await startBucket()
  const archive = createS3Archive({
    url: remote.url,
    ...s3Keys,
    secretAccessKey: 'another',
    fetch,
    timeoutMs,
  })

  await expect(archive.holds(name, await sumOf(path))).rejects.toMatchObject({ code: 'archive.refused' })
  await remote.stop()
})

test('a refused token of an endpoint is renewed once', async () => {
  const place = await endpointPlace()
  place.remote?.faults.push(401)

  await place.archive.put(name, path, await sumOf(path))

  expect(place.remote?.requests.map(({ status }) => status)).toEqual([401, 200])
  await place.stop()
})
