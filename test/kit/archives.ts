/**
 * Far sides of an archive over HTTP, since Debian has none that speaks S3: a bucket that checks each Signature Version 4
 * by computing it anew, and an endpoint that wants an access token and RFC 9530's digests. Files are in memory.
 */
import { createHash, createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface RemoteFiles {
  readonly url: string
  readonly files: Map<string, Buffer>
  /** Of every request: method and name, and the status of the answer. */
  readonly requests: { method: string; name: string; status: number; range: string | undefined }[]
  /** How the next requests go wrong, one each: a status; or the answer's body is cut off after so many bytes. */
  readonly faults: (number | { cutAfter: number })[]
  stop(): Promise<void>
}

export const s3Keys = {
  region: 'eu-central-1',
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalr/secret+key',
}

/** Status other than 200: the request is refused with it. */
type Check = (request: IncomingMessage, body: Buffer) => number

export async function startBucket(): Promise<RemoteFiles> {
  return startFiles('/bucket/readings', checkSignature, 'x-amz-meta-sha256', (headers, body) =>
    headers['x-amz-content-sha256'] === hex(body) ? headers['x-amz-meta-sha256'] : undefined,
  )
}

/** @param isGood whether an access token may come in */
export async function startEndpoint(isGood: (token: string) => boolean): Promise<RemoteFiles> {
  const check: Check = ({ headers }) =>
    isGood(headers.authorization?.replace(/^Bearer /, '') ?? '') ? 200 : 401
  return startFiles('/cold', check, 'repr-digest', (headers, body) => {
    const digest = `sha-256=:${createHash('sha256').update(body).digest('base64')}:`
    return headers['repr-digest'] === digest ? digest : undefined
  })
}

async function startFiles(
  prefix: string,
  check: Check,
  sumHeader: string,
  sumOf: (headers: IncomingMessage['headers'], body: Buffer) => string | string[] | undefined,
): Promise<RemoteFiles> {
  const files = new Map<string, Buffer>()
  const sums = new Map<string, string>()
  const requests: RemoteFiles['requests'] = []
  const faults: RemoteFiles['faults'] = []
  const server = createServer(
    (request, response) => void answer(request, response).catch(() => response.destroy()),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer) // no encoding is set
    const body = Buffer.concat(chunks)
    const path = new URL(request.url ?? '/', 'http://any').pathname
    const name = decodeURIComponent(path.slice(prefix.length + 1))
    const fault = faults.shift()
    const refusal = typeof fault === 'number' ? fault : check(request, body)
    const end = (status: number, headers: Record<string, string | number> = {}, content?: Buffer) => {
      requests.push({ method: request.method ?? '', name, status, range: request.headers.range })
      response.writeHead(status, headers)
      if (content === undefined || request.method === 'HEAD') response.end()
      else if (typeof fault === 'object' && content.length > fault.cutAfter)
        response.write(content.subarray(0, fault.cutAfter), () => response.destroy())
      else response.end(content)
    }
    if (refusal !== 200) return end(refusal)
    if (request.method === 'PUT') {
      const sum = sumOf(request.headers, body)
      if (sum === undefined) return end(400)
      files.set(name, body)
      sums.set(name, String(sum))
      return end(200)
    }
    const file = files.get(name)
    if (file === undefined) return end(404)
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)
    const part = file.subarray(from)
    end(
      from > 0 ? 206 : 200,
      {
        'content-length': part.length,
        [sumHeader]: sums.get(name) ?? '',
        'content-type': 'application/octet-stream',
      },
      part,
    )
  }

  return {
    url: `http://127.0.0.1:${port}${prefix}`,
    files,
    requests,
    faults,
    async stop() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** Signature Version 4 as its documentation has it, computed from what came over the wire. */
const checkSignature: Check = (request, body) => {
  const { headers } = request
  const authorization =
    /^AWS4-HMAC-SHA256 Credential=([^,]+), SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? '',
    )
  const [, credential = '', signedHeaders = '', signature] = authorization ?? []
  const [accessKeyId, date = '', region, service, last] = credential.split('/')
  const time = String(headers['x-amz-date'])
  const ageMs = Math.abs(
    Date.now() - Date.parse(time.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z')),
  )
  const names = signedHeaders.split(';')
  const isWhole = ['host', 'x-amz-content-sha256', 'x-amz-date'].every((name) => names.includes(name))
  if (
    accessKeyId !== s3Keys.accessKeyId ||
    region !== s3Keys.region ||
    service !== 's3' ||
    last !== 'aws4_request' ||
    !time.startsWith(date) ||
    !(ageMs < 15 * 60_000) ||
    !isWhole
  )
    return 403
  const canonical = [
    request.method,
    new URL(request.url ?? '/', 'http://any').pathname,
    '',
    ...names.map((name) => `${name}:${String(headers[name]).trim().replace(/\s+/g, ' ')}`),
    '',
    signedHeaders,
    headers['x-amz-content-sha256'],
  ].join('\n')
  const scope = `${date}/${region}/s3/aws4_request`
  const text = ['AWS4-HMAC-SHA256', time, scope, hex(Buffer.from(canonical))].join('\n')
  const key = [date, region, 's3', 'aws4_request'].reduce<Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    Buffer.from(`AWS4${s3Keys.secretAccessKey}`),
  )
  if (createHmac('sha256', key).update(text).digest('hex') !== signature) return 403
  return headers['x-amz-content-sha256'] === hex(body) ? 200 : 400
}

function hex(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}
