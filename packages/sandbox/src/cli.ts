#!/usr/bin/env node
import { parseArgs } from 'node:util'
import { startSandbox } from './sandbox.js'
import { type BehaviorName, behaviors } from './vendors/index.js'

const usage = `s4s-sandbox: an embedded EHR on 127.0.0.1

  --port N        the port (default: any free one)
  --name TEXT     what the hospital calls itself
  --data FOLDER   serve a folder of FHIR Bundles or NDJSON
  --people A,B    which of the built-in people to serve
  --seed N        another roll of the built-in people
  --like PRODUCT  behave like an EHR product: ${Object.keys(behaviors).join(', ')}
  --json          print one line of JSON
  --help`

try {
  const { values } = parseArgs({
    options: {
      port: { type: 'string' },
      name: { type: 'string' },
      data: { type: 'string' },
      people: { type: 'string' },
      seed: { type: 'string' },
      like: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    process.stdout.write(`${usage}\n`)
    process.exit(0)
  }
  const sandbox = await startSandbox({
    ...(values.port === undefined ? {} : { port: whole('--port', values.port) }),
    ...(values.seed === undefined ? {} : { seed: whole('--seed', values.seed) }),
    ...(values.name === undefined ? {} : { name: values.name }),
    ...(values.data === undefined ? {} : { data: values.data }),
    ...(values.like === undefined ? {} : { behavesLike: values.like as BehaviorName }),
    ...(values.people === undefined ? {} : { people: values.people.split(',') }),
  })
  const { provider, people, url, iss } = sandbox
  if (values.json)
    process.stdout.write(
      `${JSON.stringify({ url, iss, clientId: provider.clientId, people: people.map(({ id }) => id) })}\n`,
    )
  else {
    const names = people
      .map((person) => `    ${person.id.padEnd(12)} ${person.name}, ${person.description}`)
      .join('\n')
    process.stdout.write(
      `${provider.name}\n  address    ${url}\n  FHIR base  ${iss}\n  client id  ${provider.clientId}\n  people\n${names}\n`,
    )
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void sandbox.stop().then(() => process.exit(0)))
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n\n${usage}\n`)
  process.exit(2)
}

function whole(option: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`${option} takes a whole number`)
  return Number(text)
}
