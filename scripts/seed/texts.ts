/** What is written in a seeded inbox: all of it invented. */
export const SUBJECTS = [
  'Where is my parcel?',
  'The lamp flickers',
  'Wrong invoice',
  'Can I send it back?',
  'Do you ship to Malta?',
  'A spare part for the kettle',
  'Two chairs instead of four',
  'Changing the delivery address',
  'The discount was not taken off',
  'The manual is missing',
  'A question before I order',
  'It arrived with a scratch',
] as const;

/** The first words of whoever writes, one for each subject. */
export const QUESTIONS = [
  'I ordered last week and nothing has come yet. Could you tell me where the parcel is, and when I can expect it? I was told three days.',
  'The lamp that came on Monday flickers whenever the kettle is on. I have tried another socket and another bulb, and it is the same everywhere.',
  'On the invoice there is an item that I did not order, and the sum is twice what the shop showed. Please look into it and send me a right one.',
  'It does not fit where I wanted to put it. It is unused and in its box. How do I send it back, and who pays for that?',
  'I did not find Malta in the list of countries. Do you ship there, and what would it cost for a small parcel?',
  'The lid of my kettle has broken off. It is two years old. Is there a spare part for it, or do I have to buy a new one?',
  'Four chairs were ordered and paid for, two were in the box. The delivery note says four. What happens to the others?',
  'We are moving at the end of the month. Can the order still go to the new address? It is the same town, another street.',
  'I had a code for ten per cent, the shop took it, and yet I was charged the full price. Can that be put right?',
  'There was no manual in the box and I am not sure how the two parts go together. Do you have it as a file?',
  'Before I order: is the blue one the same blue as on the picture, and can it stand outside in the rain?',
  'The table arrived today with a long scratch on its top. I have pictures. I would like another one, or some of the money back.',
] as const;

export const ANSWERS = [
  'Thank you for your message. I have asked the carrier and will come back to you as soon as I know more.',
  'I am sorry about that. We will send you another one tomorrow; you do not need to send the old one back.',
  'You are right, that was our mistake. The right invoice is on its way to you.',
  'Of course. I have put a label into your account: print it, stick it on the box, and bring it to any parcel shop.',
  'Yes, we do. It takes about a week and costs the same as within the country.',
  'Could you tell me the number on the underside? Then I can look up what fits.',
] as const;

export const FOLLOW_UPS = [
  'Thank you for the quick answer. I will try that and tell you how it went.',
  'It has not come yet. Is there anything new?',
  'That worked, thank you very much!',
  'I am not sure that we mean the same thing. I have written the number below.',
  'Fine. Please also change the name on the invoice.',
  'Sorry for asking again, but it is rather urgent by now.',
] as const;

export const COMMENTS = [
  'The carrier says it was handed to a neighbour.',
  'Same as last week: the whole batch is affected.',
  'I asked the warehouse, they call back tomorrow.',
  'Please take over, I am away from Thursday on.',
] as const;

export const FIRST_NAMES = ['Ada', 'Bo', 'Carla', 'Dora', 'Emil', 'Fred', 'Gina', 'Hank', 'Ida', 'Jon', 'Kira', 'Lars', 'Mona', 'Nils', 'Olga', 'Pia'] as const;
export const LAST_NAMES = ['Ahorn', 'Birke', 'Clark', 'Dahl', 'Eiche', 'Falk', 'Gran', 'Holm', 'Iver', 'Juhl', 'Krog', 'Lund', 'Moor', 'Noll'] as const;
