import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { S3 } from '@aws-sdk/client-s3'

/** A bucket of a test's own, on loopback, behind the API of S3. */
export interface Bucket {
  readonly client: S3
  readonly bucket: string
  /** Where its server keeps it, to look at what is really there. */
  readonly folder: string
  stop(): Promise<void>
}

type Server = new (options: object) => { run(): Promise<AddressInfo>; close(): Promise<void> }
// By Node itself: bundlers take files of theirs that Node cannot load.
const load = createRequire(import.meta.url)
const S3rver = load('s3rver') as Server
const { S3: S3Class } = load('@aws-sdk/client-s3') as typeof import('@aws-sdk/client-s3')

export async function startBucket(): Promise<Bucket> {
  const folder = await mkdtemp(join(tmpdir(), 's4s-bucket-'))
  const bucket = 'parts'
  const server = new S3rver({
    ...{ port: 0, address: '127.0.0.1', silent: true, directory: folder },
    configureBuckets: [{ name: bucket }],
  })
  const { port } = await server.run()
  const client = new S3Class({
    endpoint: `http://127.0.0.1:${port}`,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' },
    maxAttempts: 2,
  })
  return {
    client,
    bucket,
    folder,
    async stop() {
      client.destroy()
      await server.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
