{{ config(materialized='table') }}
select 1 as id, 10 as amount, 'ann' as customer
