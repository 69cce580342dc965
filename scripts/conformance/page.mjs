// docs/conformance.md as text.
import { sources, verbs } from './rows.mjs'

/**
 * @param {ReturnType<typeof import('./rows.mjs').requirements>} wanted
 * @param {ReturnType<typeof import('./rows.mjs').threats>} withstood
 * @param {Map<string, { title: string, file: string, ground: string }[]>} proofs the tests of each id
 * @returns {string}
 */
export function page(wanted, withstood, proofs) {
  const proof = (id) => proofOf(proofs.get(id) ?? [])
  return `${[
    '# Conformance',
    '<!-- Written by scripts/write-conformance.mjs from the titles of the tests; change those. -->',
    `What SMART App Launch 2.2 and the RFCs it builds on ask of a client, row by row; then the attacks and faults that this
one withstands. Each row says what the SDK does and names the tests that show it: the title of a test holds the ids
that it proves, alone (\`A-08\`) or as a range (\`G-01 to G-08\`). A row without a test fails the build, and so does a
title with an id that is no row. Tests that are skipped do not count, and neither do those of the sandbox itself,
which show what it asks of a client and nothing about the client.`,
    `**Proved by** links the file of a test; \`…\` stands for what a table of values puts there. **Against** says what its
file runs against: \`the sandbox\` is an EHR on loopback whose authorization server is oidc-provider, \`a scripted
server\` answers over a real socket in just the wrong way that is asked about, \`properties\` are many random inputs.`,
    counts(wanted, withstood, proofs),
    'The word of each requirement:',
    table(
      ['word', 'what it says'],
      Object.entries(verbs).map(([verb, means]) => [verb, means]),
    ),
    '## Requirements',
    ...wanted.flatMap(({ title, rows }) => [
      `### ${title}`,
      table(
        ['id', 'asked by', 'what the SDK does', 'proved by', 'against'],
        rows.map(({ id, verb, source, text }) => [id, `${verb}, ${source}`, text, ...proof(id)]),
      ),
    ]),
    '## Threats and faults',
    ...withstood.flatMap(({ title, rows }) => [
      `### ${title}`,
      table(
        ['id', 'what the SDK withstands', 'proved by', 'against'],
        rows.map(({ id, text }) => [id, text, ...proof(id)]),
      ),
    ]),
    Object.entries(sources)
      .map(([name, [, address]]) => `[${name}]: ${address}`)
      .join('\n'),
  ].join('\n\n')}\n`
}

function counts(wanted, withstood, proofs) {
  const line = (name, chapters) => {
    const ids = chapters.flatMap(({ rows }) => rows.map(({ id }) => id))
    return [name, ids.length, ids.filter((id) => proofs.has(id)).length, testsOf(ids, proofs)]
  }
  return table(
    ['', 'rows', 'with a test', 'tests that carry an id'],
    [
      ...wanted.map((chapter) => line(chapter.title, [chapter])),
      ...withstood.map((chapter) => line(chapter.title, [chapter])),
      line('**all, each test counted once**', [...wanted, ...withstood]),
    ],
  )
}

const testsOf = (ids, proofs) =>
  new Set(ids.flatMap((id) => (proofs.get(id) ?? []).map(({ file, title }) => `${file} ${title}`))).size

// At most three tests, and the rest as a number; one of each ground first.
function proofOf(all) {
  const first = all.filter(({ ground }, at) => all.findIndex((other) => other.ground === ground) === at)
  const shown = [...first, ...all.filter((one) => !first.includes(one))].slice(0, 3)
  const links = shown.map(({ title, file }) => `[${escaped(title)}](../${file})`)
  if (all.length > shown.length) links.push(`and ${all.length - shown.length} more`)
  return [links.join('<br>') || '**nothing yet**', first.map(({ ground }) => ground).join('; ')]
}

const escaped = (title) => title.replace(/[|\\[\]<>*_`&]/g, (one) => `&#${one.charCodeAt(0)};`)

function table(head, lines) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...lines.map(line)].join('\n')
}
