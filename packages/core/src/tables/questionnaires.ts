import { isObject } from '../util/json.js'
import { code, concept, dates, decimal, identity, made, text, truth } from './columns.js'
import { allAt, choiceOf, firstAt, oneAt } from './read.js'
import { defineTable, type ResourceSubject, type ResourceTable } from './table.js'
import { choiceText } from './values.js'

/** A question, and one of its answers if it has any. */
interface Answered {
  readonly item: unknown
  readonly answer: unknown
}

// Questions are in groups, and below answers. A resource that is read is no deeper than a hundred levels.
function answersOf(value: unknown): Answered[] {
  return allAt(value, 'item').flatMap((item): Answered[] => {
    const answers = allAt(item, 'answer')
    const own = answers.flatMap((answer) => [{ item, answer }, ...answersOf(answer)])
    const inside = answersOf(item)
    return own.length + inside.length === 0 ? [{ item, answer: undefined }] : [...own, ...inside]
  })
}

const whole =
  (path: string) =>
  ({ resource }: ResourceSubject): unknown =>
    firstAt(resource, path)

// In the row of the response itself there is no question.
const answered = ({ part, number }: ResourceSubject): Partial<Answered> =>
  number !== null && isObject(part) ? (part as Partial<Answered>) : {}

function inAnswer(paths: string): (subject: ResourceSubject) => unknown {
  const find = oneAt(paths)
  return (subject) => find(answered(subject).answer)
}

export const questionnaireResponses: ResourceTable = defineTable({
  name: 'questionnaire_responses',
  says: 'One questionnaire that was filled in, and one row more for each answer in it, and for each question without one. Where `answer` is null is the questionnaire itself',
  types: ['QuestionnaireResponse'],
  parts: answersOf,
  columns: [
    ...identity,
    made(
      'answer',
      'integer',
      'item',
      'Which answer it is, from 1; null in the row of the questionnaire itself',
      ({ number }) => number,
    ),
    code('status', 'status', '`completed`, `amended`, `in-progress` and so on', whole('status')),
    text('questionnaire', 'questionnaire', 'Which questionnaire it is', whole('questionnaire')),
    ...dates('authored', 'authored', 'When it was filled in', 'time', whole('authored')),
    text('link_id', 'item.linkId', 'Which question it is in the questionnaire', (subject) =>
      firstAt(answered(subject).item, 'linkId'),
    ),
    text('question', 'item.text', 'The question', (subject) => firstAt(answered(subject).item, 'text')),
    made(
      'value_type',
      'string',
      'item.answer.value[x]',
      'What the answer is: `Coding`, `Decimal`, `String` and so on; null without an answer',
      (subject) => choiceOf(answered(subject).answer, 'value')?.type ?? null,
    ),
    ...concept(
      'value_code',
      'item.answer.valueCoding',
      'The answer, where it is a code',
      [],
      inAnswer('valueCoding'),
    ).filter(({ name }) => name !== 'value_code_text'),
    ...decimal(
      'value',
      'item.answer.value[x]',
      'The answer, where it is a number',
      inAnswer('valueDecimal | valueInteger | valueQuantity.value'),
    ),
    truth(
      'value_boolean',
      'item.answer.valueBoolean',
      'The answer, where it is yes or no',
      inAnswer('valueBoolean'),
    ),
    made('value_text', 'string', 'item.answer.value[x]', 'The answer in words, whatever it is', (subject) =>
      choiceText(choiceOf(answered(subject).answer, 'value')),
    ),
  ],
})
