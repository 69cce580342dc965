/** A code of a terminology. */
export interface Code {
  readonly system: string
  readonly code: string
  readonly display: string
}

const of =
  (system: string) =>
  (code: string, display: string): Code => ({ system, code, display })

export const loinc: (code: string, display: string) => Code = of('http://loinc.org')
export const snomed: (code: string, display: string) => Code = of('http://snomed.info/sct')
export const rxnorm: (code: string, display: string) => Code = of(
  'http://www.nlm.nih.gov/research/umls/rxnorm',
)
export const cvx: (code: string, display: string) => Code = of('http://hl7.org/fhir/sid/cvx')
export const icd10: (code: string, display: string) => Code = of('http://hl7.org/fhir/sid/icd-10-cm')
export const hl7 = (name: string, code: string, display: string): Code =>
  of(`http://terminology.hl7.org/CodeSystem/${name}`)(code, display)
export const usCore = (name: string, code: string, display: string): Code =>
  of(`http://hl7.org/fhir/us/core/CodeSystem/${name}`)(code, display)

/** A CodeableConcept of codes for the same thing. */
export function concept(...coding: readonly Code[]): {
  readonly coding: readonly Code[]
  readonly text: string
} {
  return { coding, text: coding[0]?.display ?? '' }
}

/** Something that a laboratory or a nurse measures. */
export interface Measure {
  readonly code: Code
  readonly unit: string
  /** UCUM. */
  readonly ucum: string
  readonly mean: number
  readonly spread: number
  readonly digits: number
  readonly low?: number
  readonly high?: number
}

const measure = (
  code: Code,
  unit: string,
  ucum: string,
  mean: number,
  spread: number,
  digits: number,
  low?: number,
  high?: number,
): Measure => ({
  code,
  unit,
  ucum,
  mean,
  spread,
  digits,
  ...(low === undefined ? {} : { low }),
  ...(high === undefined ? {} : { high }),
})

export const metabolicPanel: readonly Measure[] = [
  measure(loinc('2345-7', 'Glucose [Mass/volume] in Serum or Plasma'), 'mg/dL', 'mg/dL', 92, 9, 0, 70, 99),
  measure(
    loinc('2160-0', 'Creatinine [Mass/volume] in Serum or Plasma'),
    'mg/dL',
    'mg/dL',
    0.9,
    0.15,
    2,
    0.6,
    1.3,
  ),
  measure(
    loinc('2951-2', 'Sodium [Moles/volume] in Serum or Plasma'),
    'mmol/L',
    'mmol/L',
    140,
    2,
    0,
    135,
    145,
  ),
  measure(
    loinc('2823-3', 'Potassium [Moles/volume] in Serum or Plasma'),
    'mmol/L',
    'mmol/L',
    4.2,
    0.3,
    1,
    3.5,
    5.1,
  ),
  measure(
    loinc('1742-6', 'Alanine aminotransferase [Enzymatic activity/volume] in Serum or Plasma'),
    'U/L',
    'U/L',
    24,
    8,
    0,
    7,
    56,
  ),
  measure(
    loinc('17861-6', 'Calcium [Mass/volume] in Serum or Plasma'),
    'mg/dL',
    'mg/dL',
    9.4,
    0.3,
    1,
    8.6,
    10.3,
  ),
]

export const lipidPanel: readonly Measure[] = [
  measure(
    loinc('2093-3', 'Cholesterol [Mass/volume] in Serum or Plasma'),
    'mg/dL',
    'mg/dL',
    188,
    20,
    0,
    undefined,
    200,
  ),
  measure(
    loinc('13457-7', 'Cholesterol in LDL [Mass/volume] in Serum or Plasma by calculation'),
    'mg/dL',
    'mg/dL',
    108,
    16,
    0,
    undefined,
    130,
  ),
  measure(
    loinc('2085-9', 'Cholesterol in HDL [Mass/volume] in Serum or Plasma'),
    'mg/dL',
    'mg/dL',
    54,
    8,
    0,
    40,
  ),
  measure(
    loinc('2571-8', 'Triglyceride [Mass/volume] in Serum or Plasma'),
    'mg/dL',
    'mg/dL',
    130,
    30,
    0,
    undefined,
    150,
  ),
]

export const bloodCount: readonly Measure[] = [
  measure(loinc('718-7', 'Hemoglobin [Mass/volume] in Blood'), 'g/dL', 'g/dL', 13.8, 0.7, 1, 12, 17.5),
  measure(
    loinc('6690-2', 'Leukocytes [#/volume] in Blood by Automated count'),
    '10*3/uL',
    '10*3/uL',
    6.8,
    1.1,
    1,
    4.5,
    11,
  ),
  measure(
    loinc('777-3', 'Platelets [#/volume] in Blood by Automated count'),
    '10*3/uL',
    '10*3/uL',
    250,
    30,
    0,
    150,
    400,
  ),
]

export const hemoglobinA1c: Measure = measure(
  loinc('4548-4', 'Hemoglobin A1c/Hemoglobin.total in Blood'),
  '%',
  '%',
  7.1,
  0.4,
  1,
  4,
  5.6,
)

export const vitalSigns: readonly Measure[] = [
  measure(loinc('8867-4', 'Heart rate'), 'beats/minute', '/min', 72, 8, 0),
  measure(loinc('9279-1', 'Respiratory rate'), 'breaths/minute', '/min', 15, 2, 0),
  measure(loinc('8310-5', 'Body temperature'), 'degrees C', 'Cel', 36.8, 0.3, 1),
  measure(loinc('2708-6', 'Oxygen saturation in Arterial blood'), '%', '%', 98, 1, 0),
]

export const heartRate: Measure = vitalSigns[0] as Measure

export const categories: Readonly<
  Record<
    'laboratory' | 'vitalSigns' | 'socialHistory' | 'survey' | 'imaging' | 'exam' | 'sdoh' | 'functional',
    Code
  >
> = {
  laboratory: hl7('observation-category', 'laboratory', 'Laboratory'),
  vitalSigns: hl7('observation-category', 'vital-signs', 'Vital Signs'),
  socialHistory: hl7('observation-category', 'social-history', 'Social History'),
  survey: hl7('observation-category', 'survey', 'Survey'),
  imaging: hl7('observation-category', 'imaging', 'Imaging'),
  exam: hl7('observation-category', 'exam', 'Exam'),
  sdoh: usCore('us-core-category', 'sdoh', 'SDOH'),
  functional: usCore('us-core-category', 'functional-status', 'Functional Status'),
}
