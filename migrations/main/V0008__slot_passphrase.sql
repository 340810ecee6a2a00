-- What encrypts the streams of a slot, sealed like its keys; NULL for a slot whose streams are not encrypted.
ALTER TABLE stream_slot ADD COLUMN passphrase_sealed BLOB;
