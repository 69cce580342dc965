import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request as send } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AwsClient } from 'aws4fetch'
import S3rver from 's3rver'
import type { UploadAsked } from '../src/index.js'
import { json, startServer, type TestServer } from './server.js'

/** A request to the storage as it came in: without its body, which is counted. */
export interface StorageRequest {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
}

/** A study with an object storage: an endpoint that signs for it, and the storage. Both over sockets. */
export interface Storage {
  /** The study's endpoint. */
  readonly url: string
  readonly endpoint: TestServer
  readonly heard: StorageRequest[]
  /** What was asked of the endpoint, in order. */
  readonly asked: UploadAsked[]
  /** Answers in the storage's place when it returns a status. */
  before: (request: StorageRequest) => number | undefined
  /** Seconds that a signature holds. */
  expires: number
  /** Headers that are signed along. */
  headersFor: (asked: UploadAsked) => Record<string, string>
  /** Whether the endpoint hands out a URL to look with. */
  looks: boolean
  /** The object's bytes, by its path in the package. */
  object(digest: string, path: string): Promise<Uint8Array | undefined>
  sign(asked: UploadAsked, method: string): Promise<string>
  stop(): Promise<void>
}

export const studyKey = 'study-key-1'

export async function startStorage(): Promise<Storage> {
  const directory = await mkdtemp(join(tmpdir(), 's4s-storage-'))
  const s3 = new S3rver({
    ...{ address: '127.0.0.1', port: 0, silent: true, directory },
    configureBuckets: [{ name: 'study' }],
  })
  const { port } = await s3.run()
  const front = await inFrontOf(port, (request) => {
    storage.heard.push(request)
    return storage.before(request)
  })
  const aws = new AwsClient({
    ...{ accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER', service: 's3', region: 'us-east-1' },
  })
  const sign = async (asked: UploadAsked, method: string): Promise<string> => {
    const url = new URL(`${front.url}/study/${asked.digest}/${asked.path}`)
    url.searchParams.set('X-Amz-Expires', `${storage.expires}`)
    const headers = method === 'PUT' ? storage.headersFor(asked) : {}
    return (await aws.sign(url.href, { method, headers, aws: { signQuery: true } })).url
  }
  const endpoint = await startServer(async (request, response) => {
    if (request.headers.authorization !== `Bearer ${studyKey}`) return json(response, { error: 'key' }, 401)
    if (request.path === '/s4s/withdrawals') {
      const { digest, at } = JSON.parse(request.body)
      return json(response, { id: 'w-1', digest, at, deleted: true })
    }
    const asked = JSON.parse(request.body) as UploadAsked
    storage.asked.push(asked)
    json(response, {
      url: await sign(asked, 'PUT'),
      headers: storage.headersFor(asked),
      ...(storage.looks ? { look: await sign(asked, 'HEAD') } : {}),
    })
  })
  const storage: Storage = {
    url: `${endpoint.url}/s4s`,
    endpoint,
    ...{ heard: [], asked: [], expires: 300, looks: true },
    before: () => undefined,
    headersFor: (asked) => ({
      'content-type': asked.contentType,
      'content-md5': asked.checksums.md5,
      'x-amz-checksum-sha256': asked.checksums.sha256,
    }),
    async object(digest, path) {
      const signed = await sign({ digest, path } as UploadAsked, 'GET')
      const answer = await fetch(signed)
      return answer.ok ? new Uint8Array(await answer.arrayBuffer()) : undefined
    },
    sign,
    async stop() {
      await endpoint.stop()
      await front.stop()
      await s3.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
  return storage
}

// s3rver checks signatures but no checksums. What S3 does with them is done here, and the test's own refusals.
async function inFrontOf(port: number, refuse: (request: StorageRequest) => number | undefined) {
  const server = createServer(async (incoming, response) => {
    const { method = '', url: path = '', headers } = incoming
    const refused = refuse({ method, path, headers })
    const body = await wholeOf(incoming)
    if (!body) return
    const status = refused ?? (isIntact(headers, body) ? undefined : 400)
    if (status !== undefined) {
      response.writeHead(status, { 'retry-after': '0', location: 'http://127.0.0.1:9/' }).end()
      return
    }
    const passed = send({ agent: false, host: '127.0.0.1', port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    passed.on('error', () => response.destroy())
    passed.end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Undefined when whoever sends it goes away. */
async function wholeOf(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
  } catch {
    return undefined
  }
  return Buffer.concat(chunks)
}

function isIntact(headers: IncomingHttpHeaders, body: Buffer): boolean {
  const is = (name: string, algorithm: string): boolean =>
    headers[name] === undefined || headers[name] === createHash(algorithm).update(body).digest('base64')
  return is('content-md5', 'md5') && is('x-amz-checksum-sha256', 'sha256')
}
