import { createReadStream } from 'node:fs'
import type { ObjectFile, ObjectStore, StoredObject } from './object-store.js'

/** What is needed of S3: a client of `@aws-sdk/client-s3` as it is, `new S3({})`, or one of another's that has these. */
export interface S3 {
  putObject(input: {
    readonly Bucket: string
    readonly Key: string
    readonly Body: ReturnType<typeof createReadStream>
    readonly ContentLength: number
    readonly ChecksumSHA256: string
  }): Promise<unknown>
  getObject(input: { readonly Bucket: string; readonly Key: string }): Promise<{ readonly Body?: unknown }>
  listObjectsV2(input: {
    readonly Bucket: string
    readonly Prefix: string
    readonly ContinuationToken?: string
  }): Promise<{
    readonly Contents?:
      | {
          readonly Key?: string | undefined
          readonly Size?: number | undefined
          readonly LastModified?: Date | undefined
        }[]
      | undefined
    readonly IsTruncated?: boolean | undefined
    readonly NextContinuationToken?: string | undefined
  }>
  deleteObjects(input: {
    readonly Bucket: string
    readonly Delete: { readonly Objects: { readonly Key: string }[]; readonly Quiet: true }
  }): Promise<{ readonly Errors?: { readonly Code?: string | undefined }[] | undefined }>
}

export interface S3ObjectsOptions {
  readonly bucket: string
  /** What every key begins with, such as `inbox/`. Default: nothing. */
  readonly prefix?: string
}

// The most that one request may name.
const most = 1000

/**
 * Files of packages in a bucket of S3, or of what speaks as S3 does. The bucket must keep no versions: of one that does,
 * what a participant withdrew can still be read.
 *
 * @example createInbox({ folder, studies, parts: s3Objects(new S3({}), { bucket: 'sleep-2026' }) })
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/
 */
export function s3Objects(client: S3, options: S3ObjectsOptions): ObjectStore {
  const { bucket, prefix: top = '' } = options
  if (typeof bucket !== 'string' || bucket === '') throw new TypeError('bucket is missing')
  if (!/^([A-Za-z0-9._-]+\/)*$/.test(top)) throw new TypeError('prefix is not a path such as inbox/')
  const Bucket = bucket

  return Object.freeze({
    async put(key: string, { path, size, sha256 }: ObjectFile): Promise<void> {
      await client.putObject({
        Bucket,
        Key: top + key,
        Body: createReadStream(path),
        ContentLength: size,
        // What arrives there is what was verified here.
        ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64'),
      })
    },

    async *read(key: string): AsyncGenerator<Uint8Array> {
      const { Body } = await client.getObject({ Bucket, Key: top + key })
      yield* Body as unknown as AsyncIterable<Uint8Array>
    },

    async *list(prefix: string): AsyncGenerator<StoredObject> {
      for (let token: string | undefined; ; ) {
        const page = await client.listObjectsV2({
          ...{ Bucket, Prefix: top + prefix },
          ...(token === undefined ? {} : { ContinuationToken: token }),
        })
        for (const { Key = '', Size = 0, LastModified } of page.Contents ?? [])
          yield { key: Key.slice(top.length), size: Size, changedAt: LastModified?.getTime() ?? Date.now() }
        token = page.NextContinuationToken
        if (!page.IsTruncated || token === undefined) return
      }
    },

    async remove(keys: readonly string[]): Promise<void> {
      for (let from = 0; from < keys.length; from += most) {
        const Objects = keys.slice(from, from + most).map((key) => ({ Key: top + key }))
        const { Errors = [] } = await client.deleteObjects({ Bucket, Delete: { Objects, Quiet: true } })
        const [first] = Errors
        if (first) throw new Error(`the bucket kept ${Errors.length} objects (${first.Code})`)
      }
    },
  } satisfies ObjectStore)
}
