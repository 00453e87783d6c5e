/**
 * An archive in a bucket of S3, or of anything that speaks S3. Requests are signed with Signature Version 4, and the
 * signature covers the checksum of the body: a file that is damaged on the way is refused by the other side.
 */
import { AwsV4Signer } from 'aws4fetch'
import type { Fetch } from '../../core/auth/verifier.ts'
import type { Archive } from './archive.ts'
import { createRemoteArchive } from './remote.ts'

export interface S3Options {
  /** Bucket and prefix: `https://s3.eu-central-1.amazonaws.com/bucket/readings`, or with the bucket in the host. */
  readonly url: string
  readonly region: string
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly fetch: Fetch
  readonly timeoutMs: number
}

/** SHA-256 of nothing: the body of GET and HEAD. */
const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'
const sumHeader = 'x-amz-meta-sha256'

export function createS3Archive(options: S3Options): Archive {
  const { region, accessKeyId, secretAccessKey } = options
  const base = options.url.replace(/\/$/, '')
  return createRemoteArchive({
    timeoutMs: options.timeoutMs,
    async send({ method, name, headers, body, sha256, signal }) {
      const signed = await new AwsV4Signer({
        method,
        url: `${base}/${name}`,
        headers: { ...headers, 'x-amz-content-sha256': sha256 ?? emptySha256 },
        service: 's3',
        region,
        accessKeyId,
        secretAccessKey,
      }).sign()
      return options.fetch(signed.url.href, {
        method,
        headers: Object.fromEntries(signed.headers),
        ...(body === undefined ? {} : { body }),
        redirect: 'error',
        signal,
      })
    },
    sumHeaders: ({ sha256 }) => ({ [sumHeader]: sha256 }),
    sumIn: (headers) => headers.get(sumHeader) ?? undefined,
  })
}
